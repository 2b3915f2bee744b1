// Renders /openapi.json: operations with their bodies, answers and a curl line, then the schemas.

import { make } from "./view.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);

// `code` in a description looks like code.
function prose(tag, className, text) {
  const parts = (text ?? "").split("`").map((part, place) => (place % 2 ? make("code", "", part) : part));
  return make(tag, className, ...parts);
}

function schemaName(reference) {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

// Returns nodes that say a schema's type, with links to named schemas.
function typeNodes(schema) {
  if (!schema) return ["anything"];
  if (schema.$ref) {
    const name = schemaName(schema.$ref);
    const link = make("a", "", name);
    link.href = `#schema-${name}`;
    return [link];
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.flatMap((item, place) => (place ? [" | ", ...typeNodes(item)] : typeNodes(item)));
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((item) => JSON.stringify(item)).join(" | ")];
  if (schema.type === "array") return ["list of ", ...typeNodes(schema.items)];
  if (schema.additionalProperties) return ["map of ", ...typeNodes(schema.additionalProperties)];
  return [[schema.type ?? "anything"].flat().join(" | "), limits(schema)];
}

function limits(schema) {
  const names = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", minLength: "length ≥", maxLength: "length ≤", minItems: "items ≥", maxItems: "items ≤" };
  const parts = Object.keys(names).filter((key) => schema[key] !== undefined).map((key) => `${names[key]} ${schema[key]}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}

function fieldTable(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const about = prose("td", "", field.description);
    return make("tr", "", make("td", "", make("code", "", name), required.has(name) ? make("span", "required", " required") : ""), make("td", "", ...typeNodes(field)), about);
  });
  return make("table", "", make("tbody", "", ...rows));
}

function media(content) {
  const lines = Object.entries(content ?? {}).map(([kind, item]) => make("div", "", make("code", "", kind), " ", ...typeNodes(item.schema)));
  return make("div", "media", ...lines);
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, item]) => make("tr", "", make("td", "", make("code", status < "300" ? "good" : "bad", status)), prose("td", "", item.description), make("td", "", media(item.content))));
  return make("table", "", make("tbody", "", ...rows));
}

function curl(method, path, operation) {
  const line = `curl ${location.origin}${path}`;
  if (!operation.requestBody) return line;
  const body = path.endsWith("completions") ? '{"messages": [{"role": "user", "content": "…"}]}' : '{"query": "…"}';
  return `${line} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

function operationNode(method, path, operation) {
  const head = make("h2", "", make("span", `method ${method}`, method.toUpperCase()), " ", make("code", "", path));
  const parts = [head, make("p", "summary", operation.summary ?? ""), prose("p", "", operation.description)];
  if (operation.parameters?.length) {
    const properties = Object.fromEntries(operation.parameters.map((item) => [item.name, { ...item.schema, description: item.description }]));
    parts.push(make("h3", "", "Parameters"), fieldTable({ properties, required: operation.parameters.filter((item) => item.required).map((item) => item.name) }));
  }
  if (operation.requestBody) parts.push(make("h3", "", "Body"), media(operation.requestBody.content));
  parts.push(make("h3", "", "Answers"), answers(operation.responses), make("pre", "", make("code", "", curl(method, path, operation))));
  const node = make("section", "operation", ...parts);
  node.id = operation.operationId;
  return node;
}

function show(description) {
  at("version").textContent = description.info.version;
  at("about").textContent = description.info.description ?? "";
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const link = make("a", "", make("span", `method ${method}`, method.toUpperCase()), make("code", "", path), make("span", "faint", operation.summary ?? ""));
      link.href = `#${operation.operationId}`;
      at("contents").append(link);
      at("operations").append(operationNode(method, path, operation));
    }
  }
  for (const [name, schema] of Object.entries(description.components?.schemas ?? {}).sort()) {
    const node = make("section", "schema", make("h3", "", name), prose("p", "", schema.description), fieldTable(schema));
    node.id = `schema-${name}`;
    at("schemas").append(node);
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show(await (await fetch("/openapi.json")).json());
