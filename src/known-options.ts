import { closest, distance } from 'fastest-levenshtein'

/**
 * Every option name of a type, each with whether error messages list it. The compiler refuses a table that misses a name or
 * has an unknown one.
 */
export type OptionNames<Options> = Readonly<Record<keyof Options, boolean>>

/** A known name is suggested for an unknown option only if at most this many letters differ. */
const MOST_EDITS = 3

/**
 * Refuses unknown options, so that a misspelt one is not silently ignored. An option whose value is undefined counts as
 * left out.
 *
 * @param where the caller's name, for errors
 * @param names all options that exist, each with whether errors list it
 * @throws TypeError when the options are no object; RangeError naming each unknown option with the most similar name,
 *   or with all listed names where none is similar
 */
export function checkOptionNames(
  where: string,
  options: object,
  names: Readonly<Record<string, boolean>>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(
      `${where}: options must be an object, got ${Array.isArray(options) ? 'an array' : options}`,
    )
  }
  const unknown = Object.entries(options).flatMap(([name, value]) =>
    value === undefined || Object.hasOwn(names, name) ? [] : [name],
  )
  if (unknown.length === 0) return
  const listed = Object.keys(names).filter(name => names[name])
  throw new RangeError(
    `${where}: options must be among those that it has, got ${unknown.map(name => withSuggestion(name, listed)).join(', ')}`,
  )
}

function withSuggestion(name: string, listed: readonly string[]): string {
  const nearest = closest(name.toLowerCase(), listed.map(lowerCase))
  const edits = distance(name.toLowerCase(), nearest)
  if (edits > Math.min(MOST_EDITS, name.length / 2)) return `${name} (its options: ${listed.join(', ')})`
  return `${name} (nearest: ${listed.find(option => lowerCase(option) === nearest)})`
}

function lowerCase(name: string): string {
  return name.toLowerCase()
}
