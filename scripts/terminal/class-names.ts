import { existsSync, statSync } from 'node:fs'
import { readTextFile } from '../../src/files/regular-file.js'
import { printableName } from '../../src/report/escape.js'
import { UsageError } from './usage-error.js'

/**
 * Reads the names of classes as a person gives them: separated by commas, or the path of a file that holds one a line
 * or a JSON array of them.
 *
 * @param command for errors
 * @returns in the order given, at least 2
 * @throws UsageError for fewer names, an empty one, or one that is there twice; Error when the file cannot be read
 */
export async function readClassNames(command: string, given: string): Promise<readonly string[]> {
  const isFile = existsSync(given) && statSync(given).isFile()
  const names = isFile ? namesIn(await readTextFile(given)) : given.split(',')
  const trimmed = names.map(name => name.trim())
  const refuse = (got: string): never => {
    const source = isFile ? ` (in ${given})` : ''
    throw new UsageError(
      `${command}: --class-names must be 2 or more different names by commas, or a file with one a line or a JSON array, got ${got}${source}`,
    )
  }
  if (trimmed.length < 2) refuse(JSON.stringify(printableName(trimmed[0] ?? '')))
  if (trimmed.includes('')) refuse(`an empty name at position ${trimmed.indexOf('') + 1}`)
  const twice = trimmed.find((name, i) => trimmed.indexOf(name) !== i)
  if (twice !== undefined) refuse(`${JSON.stringify(printableName(twice))} twice`)
  return trimmed
}

/** The names in a file; a byte-order mark at its start is none of them. */
function namesIn(text: string): readonly string[] {
  const trimmed = text.replace(/^\uFEFF/, '').trim()
  return jsonNames(trimmed) ?? trimmed.split(/\r?\n/)
}

/** Undefined where a text is not a JSON array of names. */
function jsonNames(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const names: unknown = JSON.parse(text)
    return Array.isArray(names) && names.every(name => typeof name === 'string') ? names : undefined
  } catch {
    return undefined
  }
}
