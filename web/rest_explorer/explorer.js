// Lists the paths of openapi.json, each with a form that sends the request and shows the response.

const element = (name, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

const resolve = (api, schema) => {
  const name = schema.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
};

const example = (api, schema) => {
  const { type, properties = {}, required = [], items, enum: values } = resolve(api, schema);
  if (values) return values[0];
  if (type === "object") return Object.fromEntries(required.map((name) => [name, example(api, properties[name])]));
  if (type === "array") return [example(api, items)];
  return { integer: 1, number: 1, boolean: true }[type] ?? "";
};

const input = (api, parameter) => {
  const { enum: values, type } = resolve(api, parameter.schema.items ?? parameter.schema);
  const field = values
    ? element("select", {}, ...["", ...values].map((value) => element("option", { value, textContent: value })))
    : element("input", { type: type === "integer" || type === "number" ? "number" : "text", step: "any" });
  Object.assign(field, { name: parameter.name, required: parameter.required });
  return element("label", {}, `${parameter.name}${parameter.required ? " *" : ""} `, field);
};

const addressOf = (path, operation, form) => {
  const query = new URLSearchParams();
  let address = path;
  for (const parameter of operation.parameters ?? []) {
    const value = form.elements[parameter.name].value;
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value) query.append(parameter.name, value);
  }
  const text = query.toString();
  return `.${address}${text ? `?${text}` : ""}`;
};

const send = async (method, path, operation, form, output) => {
  const credential = document.getElementById("credential").value.trim();
  const headers = { Accept: "application/json, text/event-stream" };
  if (credential) Object.assign(headers, credential.startsWith("gamer_") ? { "X-API-Key": credential } : { Authorization: `Bearer ${credential}` });
  const options = { method: method.toUpperCase(), headers };
  if (operation.requestBody) {
    headers["Content-Type"] = "application/json";
    options.body = form.elements.body.value;
  }
  output.textContent = "…";
  try {
    const response = await fetch(addressOf(path, operation, form), options);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    output.textContent = `${response.status}\n${isJson ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
  } catch (error) {
    output.textContent = String(error);
  }
};

const entry = (api, method, path, operation) => {
  const output = element("pre", { ariaLive: "polite" });
  const form = element("form", {}, ...(operation.parameters ?? []).map((parameter) => input(api, parameter)));
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    const value = JSON.stringify(example(api, schema), null, 2);
    form.append(element("label", {}, "body ", element("textarea", { name: "body", rows: 6, value })));
  }
  form.append(element("button", { textContent: "Send" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, operation, form, output);
  });
  const title = element("summary", {}, element("b", { textContent: method.toUpperCase() }), ` ${path} `, element("small", { textContent: operation.summary }));
  return element("details", {}, title, form, output);
};

const response = await fetch("./openapi.json");
const api = await response.json();
document.getElementById("version").textContent = api.info.version;
const list = document.getElementById("paths");
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    if (!operation.deprecated) list.append(entry(api, method, path, operation));
  }
}
