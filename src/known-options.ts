import { closest, distance } from 'fastest-levenshtein'

/**
 * The name of every option of a type, and whether errors list it; the compiler sees to it that none is missing and none is
 * foreign.
 */
export type OptionNames<Options> = Readonly<Record<keyof Options, boolean>>

/** Letters by which an option may differ from the name that is suggested for it. */
const MOST_EDITS = 3

/**
 * Refuses options that something does not have, so that none is ignored in silence. An option that is undefined counts
 * as left out.
 *
 * @param where the caller's name, for errors
 * @param names all options that there are
 * @throws TypeError when the options are no object; RangeError naming the unknown ones, and for each the nearest name
 *   that there is, or else all names
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
  const known = Object.keys(names).filter(name => names[name])
  throw new RangeError(
    `${where}: options must be among those that it has, got ${unknown.map(name => hinted(name, known)).join(', ')}`,
  )
}

function hinted(name: string, known: readonly string[]): string {
  const nearest = closest(name.toLowerCase(), known.map(lowerCase))
  const edits = distance(name.toLowerCase(), nearest)
  if (edits > Math.min(MOST_EDITS, name.length / 2)) return `${name} (its options: ${known.join(', ')})`
  return `${name} (nearest: ${known.find(option => lowerCase(option) === nearest)})`
}

function lowerCase(name: string): string {
  return name.toLowerCase()
}
