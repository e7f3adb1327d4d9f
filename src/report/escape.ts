/** Text made safe for HTML and SVG, between tags and inside quoted attributes. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, character => ENTITIES[character]!)
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * Control characters except newline and tab (C0, DEL, C1), line separators and marks that change the direction of
 * writing, single surrogates, and characters that XML does not allow.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is for control characters.
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/gu

/** Text that is safe to show: characters that would act instead of being visible are written as `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, character => {
    const code = character.charCodeAt(0).toString(16)
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
  })
}

/** A name cut to so many letters, the last one `…` where some are left out. */
export function shortened(name: string, mostLetters: number): string {
  const letters = [...name]
  return letters.length <= mostLetters ? name : `${letters.slice(0, mostLetters - 1).join('')}…`
}

/** The name of a file, a class or a layer in one line: newlines and tabs are written as `\n` and `\t` as well. */
export function printableName(name: string): string {
  return printable(name).replaceAll('\n', '\\n').replaceAll('\t', '\\t')
}

/** JSON with the same content, in which `printable` finds nothing to replace. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
