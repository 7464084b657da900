import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const OUT = process.env.CONSOLE_OUT ?? "dist";
const ENTRY = "src/main.tsx";

/** Returns the names of all files that the built files depend on, in order; tests/web/test_console.py does the same. */
function sources() {
  const inSrc = readdirSync("src", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "generated.ts")
    .map((entry) => join(entry.parentPath, entry.name));
  return ["package-lock.json", "tsconfig.json", "vite.config.js", ...inSrc].sort();
}

/** Leaves only compressed files behind: they are served as they are, and the repository stays small. */
function compressed() {
  return {
    name: "compressed",
    closeBundle() {
      const chunks = JSON.parse(readFileSync(join(OUT, "manifest.json"), "utf8"));
      for (const name of readdirSync(OUT)) {
        if (!/\.(js|css)$/.test(name)) continue;
        writeFileSync(join(OUT, `${name}.gz`), gzipSync(readFileSync(join(OUT, name)), { level: 9 }));
        rmSync(join(OUT, name));
      }
      const hash = createHash("sha256");
      for (const name of sources()) hash.update(name).update(readFileSync(name));
      const manifest = {
        script: chunks[ENTRY].file,
        styles: [chunks["style.css"].file],
        preload: chunks[ENTRY].imports?.map((key) => chunks[key].file) ?? [],
        sources: hash.digest("hex"),
      };
      writeFileSync(join(OUT, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [compressed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    assetsDir: "",
    manifest: "manifest.json",
    license: { fileName: "LICENSES.md" },
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ENTRY },
  },
});
