import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const OUT = "dist";
// What the built files depend on, in this order; web/graphiql.py has the same list.
const SOURCES = ["package-lock.json", "src/main.jsx", "src/style.css", "vite.config.js"];

/** Leaves only compressed files behind: they are served as they are, and the repository stays small. */
function compressed() {
  return {
    name: "compressed",
    closeBundle() {
      const { file, css } = JSON.parse(readFileSync(join(OUT, "manifest.json"), "utf8"))["src/main.jsx"];
      for (const name of readdirSync(OUT)) {
        if (!/\.(js|css|ttf)$/.test(name)) continue;
        writeFileSync(join(OUT, `${name}.gz`), gzipSync(readFileSync(join(OUT, name)), { level: 9 }));
        rmSync(join(OUT, name));
      }
      const sources = createHash("sha256");
      for (const name of SOURCES) sources.update(readFileSync(name));
      const manifest = { script: file, styles: css, sources: sources.digest("hex") };
      writeFileSync(join(OUT, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [compressed()],
  build: {
    outDir: OUT,
    assetsDir: "",
    manifest: "manifest.json",
    license: { fileName: "LICENSES.md" },
    target: "es2022",
    chunkSizeWarningLimit: 3000,
    rollupOptions: {
      input: "src/main.jsx",
      onLog(level, log, handler) {
        // "use client" in libraries means nothing to a page that is all client.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handler(level, log);
      },
    },
  },
});
