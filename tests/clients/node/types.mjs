// Writes the TypeScript types of graphql/operations/ into the file given.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codegen } from "@graphql-codegen/core";
import * as operations from "@graphql-codegen/typescript-operations";
import { parse } from "graphql";

const GRAPHQL = join(import.meta.dirname, "../../../graphql");
const files = readdirSync(join(GRAPHQL, "operations")).filter((file) => file.endsWith(".graphql")).sort();
const text = await codegen({
  filename: process.argv[2],
  schema: parse(readFileSync(join(GRAPHQL, "schema.graphql"), "utf8")),
  documents: files.map((file) => ({
    location: file,
    document: parse(readFileSync(join(GRAPHQL, "operations", file), "utf8")),
  })),
  plugins: [{ operations: {} }],
  pluginMap: { operations },
  config: {
    enumType: "string-literal",
    enumsAsTypes: true,
    scalars: { Date: "string", DateTime: "string", Decimal: "string" },
    strictScalars: true,
    skipTypename: true,
    useTypeImports: true,
  },
});
writeFileSync(process.argv[2], `// Written by tests/clients/node/types.mjs.\n\n${text.trim()}\n`);
