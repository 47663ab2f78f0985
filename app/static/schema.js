// The part of JSON Schema that the form can draw: number, boolean, enum, text, lists of them, object, tagged union.
// `kindOf` says which a schema is, and raises where it is none; a test asks it about the whole catalogue.

/** Fields that are no part of the form. */
export const LEFT_OUT = ['start'];

/** The schema that is meant: references followed, and `null` as an alternative taken away. */
export function resolve(schema, parts) {
  let found = schema;
  while (found.$ref) found = { ...parts[found.$ref.split('/').pop()], ...without(found, '$ref') };
  if (found.anyOf) {
    const others = found.anyOf.filter((one) => one.type !== 'null');
    if (others.length === 1) return { ...resolve({ ...without(found, 'anyOf'), ...others[0] }, parts), optional: true };
  }
  return found;
}

const without = (object, ...names) => Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

/** What a resolved schema is drawn as. */
export function kindOf(schema, parts) {
  if (schema.const !== undefined) return 'const';
  if (schema.enum) return 'enum';
  if (schema.type === 'boolean') return 'boolean';
  if (schema.type === 'integer' || schema.type === 'number') return 'number';
  if (schema.type === 'string') return 'text';
  if (schema.oneOf) {
    tagOf(schema, parts);
    return 'union';
  }
  if (schema.type === 'array') {
    const items = (schema.prefixItems ?? [schema.items]).map((one) => resolve(one, parts));
    if (items.every((one) => one.enum)) return 'enums';
    if (items.every((one) => ['integer', 'number'].includes(one.type))) return 'numbers';
  }
  if (schema.type === 'object') return schema.properties ? 'object' : 'pairs';
  throw new Error(`the form cannot draw ${JSON.stringify(schema)}`);
}

/** The name of the field that tells the variants of a union apart. */
export function tagOf(schema, parts) {
  const variants = schema.oneOf.map((one) => resolve(one, parts));
  const tags = Object.keys(variants[0].properties).filter((name) => variants.every((one) => one.properties[name]?.const !== undefined));
  if (tags.length !== 1) throw new Error(`a union without one tag: ${tags}`);
  return tags[0];
}

/** The variants of a union by their tags. */
export function variantsOf(schema, parts) {
  const tag = tagOf(schema, parts);
  return new Map(schema.oneOf.map((one) => resolve(one, parts)).map((one) => [one.properties[tag].const, one]));
}

/** Paths of all that the form cannot draw; empty where it can draw everything. */
export function unsupported(schema, parts, path = '') {
  try {
    const found = resolve(schema, parts);
    const kind = kindOf(found, parts);
    const inner = kind === 'union' ? [...variantsOf(found, parts)] : kind === 'object' ? Object.entries(found.properties) : [];
    return inner.filter(([name]) => !LEFT_OUT.includes(name)).flatMap(([name, one]) => unsupported(one, parts, `${path}.${name}`));
  } catch (error) {
    return [`${path}: ${error.message}`];
  }
}
