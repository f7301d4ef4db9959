// From what stands in the form to an HTTP request, and back. Pure; sending is in client.ts.
import type { Endpoint, Field } from './catalog';

// One text per field as its control holds it; undefined and '' are not sent. Lists and objects of a body are JSON text, lists in a
// URL one value per line, a checkbox "true" or "false".
export type Inputs = Record<string, string | undefined>;

export interface Prepared {
  method: string;
  url: string;
  body?: string;
}

export type Outcome<T> = { ok: true; value: T } | { ok: false; field: string; problem: string };

const kTags = ['systemTags', 'userTags']; // beside the body's key, not under it
const kPlainNumber = /^-?(0|[1-9]\d*)$/;

export function inUrl(endpoint: Endpoint): boolean {
  return endpoint.bodyKey === '';
}

function isNested(field: Field): boolean {
  return field.type === 'List' || field.type === 'Object';
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

// What the form starts with: the documented request, and for required fields it lacks, their own example.
export function exampleInputs(endpoint: Endpoint): Inputs {
  const inputs: Inputs = {};
  for (const field of endpoint.pathParameters) if (field.example !== undefined) inputs[field.name] = field.example;
  const fromExample = inUrl(endpoint) || endpoint.requestExample === '' ? {} : inputsOf(endpoint, endpoint.requestExample);
  for (const field of endpoint.bodyFields) {
    const given = fromExample[field.name];
    if (given !== undefined && given !== '[]') inputs[field.name] = given;
    else if (field.required && field.example !== undefined) inputs[field.name] = exampleText(endpoint, field);
  }
  return inputs;
}

// A field's own example as its control would hold it.
export function exampleText(endpoint: Endpoint, field: Field): string {
  const example = field.example ?? '';
  if (field.type !== 'List' || inUrl(endpoint) || example === '') return example;
  return example.startsWith('[') ? example : JSON.stringify([example]);
}

// The form's inputs for a body; throws SyntaxError when it is not JSON. Members the form has no field for are lost.
export function inputsOf(endpoint: Endpoint, body: string): Inputs {
  const root = JSON.parse(body) as Record<string, unknown>;
  const inner = (root[endpoint.bodyKey] ?? {}) as Record<string, unknown>;
  const inputs: Inputs = {};
  for (const field of endpoint.bodyFields) {
    const value = (kTags.includes(field.name) ? root[field.name] : undefined) ?? inner[field.name];
    if (value !== undefined && value !== null) inputs[field.name] = asText(value);
  }
  return inputs;
}

function jsonOf(field: Field, value: string): Outcome<unknown> {
  if (field.type === 'Boolean') return { ok: true, value: value === 'true' };
  if (field.type === 'Long' || field.type === 'Integer') {
    const number = Number(value);
    // Anything else goes as it is: the server says what is wrong with it.
    return { ok: true, value: kPlainNumber.test(value) && Number.isSafeInteger(number) ? number : value };
  }
  if (!isNested(field)) return { ok: true, value };
  try {
    return { ok: true, value: JSON.parse(value) as unknown };
  } catch {
    const form = field.type === 'List' ? 'a JSON list such as ["one", "two"]' : 'a JSON object such as {"key": "value"}';
    return { ok: false, field: field.name, problem: `${field.name} must be ${form}` };
  }
}

export function bodyOf(endpoint: Endpoint, inputs: Inputs): Outcome<string> {
  const inner: Record<string, unknown> = {};
  const beside: Record<string, unknown> = {};
  for (const field of endpoint.bodyFields) {
    const value = inputs[field.name];
    if (value === undefined || value.trim() === '') continue;
    const json = jsonOf(field, value);
    if (!json.ok) return json;
    (kTags.includes(field.name) ? beside : inner)[field.name] = json.value;
  }
  return { ok: true, value: JSON.stringify({ [endpoint.bodyKey]: inner, ...beside }, null, 2) };
}

function queryOf(endpoint: Endpoint, inputs: Inputs): string {
  const parameters = new URLSearchParams();
  for (const field of endpoint.bodyFields) {
    const value = inputs[field.name] ?? '';
    const values = field.type === 'List' ? value.split('\n') : [value];
    for (const one of values) if (one.trim() !== '') parameters.append(field.name, one.trim());
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

function pathOf(endpoint: Endpoint, inputs: Inputs): Outcome<string> {
  let path = endpoint.path;
  for (const field of endpoint.pathParameters) {
    const value = (inputs[field.name] ?? '').trim();
    if (value === '') return { ok: false, field: field.name, problem: `${field.name} is part of the path: fill it in` };
    path = path.replace(`{${field.name}}`, encodeURIComponent(value));
  }
  return { ok: true, value: path };
}

// `rawBody`, when given, is sent instead of the form's fields.
export function prepare(endpoint: Endpoint, inputs: Inputs, rawBody?: string): Outcome<Prepared> {
  const path = pathOf(endpoint, inputs);
  if (!path.ok) return path;
  if (inUrl(endpoint)) return { ok: true, value: { method: endpoint.method, url: path.value + queryOf(endpoint, inputs) } };
  const body: Outcome<string> = rawBody === undefined ? bodyOf(endpoint, inputs) : { ok: true, value: rawBody };
  return body.ok ? { ok: true, value: { method: endpoint.method, url: path.value, body: body.value } } : body;
}
