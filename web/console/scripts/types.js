// Writes src/graphql/generated.ts: the types of every document in graphql/operations/, from graphql/schema.graphql.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  buildSchema,
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isScalarType,
  Kind,
  parse,
  typeFromAST,
} from "graphql";

const GRAPHQL = join(import.meta.dirname, "../../../graphql");
const OUT = join(import.meta.dirname, "../src/graphql/generated.ts");
const SCALARS = { Int: "number", Float: "number", Boolean: "boolean" };

const schema = buildSchema(readFileSync(join(GRAPHQL, "schema.graphql"), "utf8"));

/** Returns a type with `| null` and `[]` as the GraphQL type says; `inner` is the text of its named type. */
function wrapped(type, inner) {
  if (isNonNullType(type)) return present(type.ofType, inner);
  return `${present(type, inner)} | null`;
}

function present(type, inner) {
  if (!isListType(type)) return inner;
  const item = wrapped(type.ofType, inner);
  return item.includes(" ") ? `(${item})[]` : `${item}[]`;
}

function named(type) {
  return isScalarType(type) ? (SCALARS[type.name] ?? "string") : type.name;
}

function enumOf(type) {
  return `export type ${type.name} = ${type.getValues().map((value) => JSON.stringify(value.name)).join(" | ")};\n`;
}

function inputOf(type) {
  const fields = Object.values(type.getFields()).map((field) => {
    const optional = isNonNullType(field.type) && field.defaultValue === undefined ? "" : "?";
    return `  ${field.name}${optional}: ${wrapped(field.type, named(getNamedType(field.type)))};\n`;
  });
  return `export interface ${type.name} {\n${fields.join("")}}\n`;
}

/** Returns the fields of a selection by their keys. Fields of fragments on other types may be absent. */
function fieldsOf(selections, parent, optional, found) {
  for (const selection of selections) {
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const type = selection.typeCondition ? typeFromAST(schema, selection.typeCondition) : parent;
      fieldsOf(selection.selectionSet.selections, type, optional || type !== parent, found);
    } else if (selection.kind === Kind.FIELD) {
      const key = (selection.alias ?? selection.name).value;
      found.set(key, textOf(selection, key, parent, optional));
    } else throw new Error(`${selection.kind} is not supported`);
  }
  return found;
}

function textOf(field, key, parent, optional) {
  if (field.name.value === "__typename") {
    const types = isAbstractType(parent) ? schema.getPossibleTypes(parent) : [parent];
    return `${key}: ${types.map((type) => JSON.stringify(type.name)).join(" | ")}`;
  }
  const { type } = parent.getFields()[field.name.value];
  const inner = field.selectionSet ? objectOf(field.selectionSet, getNamedType(type)) : named(getNamedType(type));
  return `${key}${optional ? "?" : ""}: ${wrapped(type, inner)}`;
}

function objectOf(selectionSet, type) {
  return `{ ${[...fieldsOf(selectionSet.selections, type, false, new Map()).values()].join("; ")} }`;
}

function variablesOf(operation) {
  const fields = operation.variableDefinitions.map(({ variable, type, defaultValue }) => {
    const schemaType = typeFromAST(schema, type);
    const optional = isNonNullType(schemaType) && !defaultValue ? "" : "?";
    return `${variable.name.value}${optional}: ${wrapped(schemaType, named(getNamedType(schemaType)))}`;
  });
  return fields.length ? `{ ${fields.join("; ")} }` : "Record<string, never>";
}

function operationOf(file) {
  const document = parse(readFileSync(join(GRAPHQL, "operations", file), "utf8"));
  const [operation] = document.definitions;
  const root = schema.getRootType(operation.operation);
  return (
    `  ${basename(file, ".graphql")}: {\n    kind: "${operation.operation}";\n` +
    `    variables: ${variablesOf(operation)};\n    data: ${objectOf(operation.selectionSet, root)};\n  };\n`
  );
}

const types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith("__"));
const files = readdirSync(join(GRAPHQL, "operations")).filter((file) => file.endsWith(".graphql")).sort();
writeFileSync(
  OUT,
  `// Written by scripts/types.js.\n\n${types.filter(isEnumType).map(enumOf).join("")}\n` +
    `${types.filter(isInputObjectType).map(inputOf).join("")}\n` +
    `export interface Operations {\n${files.map(operationOf).join("")}}\n`,
);
