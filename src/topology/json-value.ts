/** A JSON object whose entries are not yet known. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a JSON value is an object and not a list. */
export function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value, if it is an object. @throws Error naming `what` if it is not */
export function requiredObject(value: unknown, what: string): JsonObject {
  if (isPlainObject(value)) return value
  throw new Error(`${what} must be an object, got ${shown(value)}`)
}

/** The class of a serialized object. @throws Error naming `what` if it has none */
export function className(value: JsonObject, what: string): string {
  if (typeof value.class_name === 'string' && value.class_name !== '') return value.class_name
  throw new Error(`${what} must have a class_name, got ${shown(value.class_name)}`)
}

const LONGEST = 60

/** A JSON value in few characters, for messages. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return JSON.stringify(cut(value))
  if (Array.isArray(value)) return value.length > 8 ? `a list of ${value.length}` : listed(value)
  return isPlainObject(value) ? 'an object' : String(value)
}

function listed(values: readonly unknown[]): string {
  return cut(`[${values.map(value => (Array.isArray(value) ? 'a list' : shown(value))).join(', ')}]`)
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text
}

/** Whether every object inherits a property of this name, as it does `constructor`. */
export function isPrototypeName(name: string): boolean {
  return name in Object.prototype
}
