import { printable, printableJson, printableName } from '../../src/report/escape.js'

const original = new WeakMap<NodeJS.WriteStream, NodeJS.WriteStream['write']>()

/** From now on shows control characters in what is written to a stream, instead of sending them; JSON keeps its content. */
export function showControlCharacters(stream: NodeJS.WriteStream): void {
  if (original.has(stream)) return
  const write = stream.write.bind(stream)
  original.set(stream, write)
  stream.write = ((chunk: unknown, ...rest: never[]) =>
    write(
      typeof chunk === 'string' ? safeOutput(chunk) : (chunk as Uint8Array),
      ...rest,
    )) as typeof stream.write
}

/** The stream as it was before, for what moves the cursor; its text must be made printable by the caller. */
export function withControlCharacters(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  const write = original.get(stream)
  return write ? Object.create(stream, { write: { value: write } }) : stream
}

/** Text for a terminal; lines that are JSON stay JSON of the same content. */
export function safeOutput(text: string): string {
  if (printable(text) === text) return text
  return text
    .split('\n')
    .map(line => (isJson(line) ? printableJson(line) : printable(line)))
    .join('\n')
}

/** A note for a terminal: one line, and below it the indented lines of a list; a newline in a name begins none. */
export function noteText(note: string): string {
  return note
    .split(/\n(?= {2}\S)/)
    .map(printableName)
    .join('\n')
}

/** The message of an error, whose further lines are indented: a newline in a name begins no message of its own. */
export function errorText(message: string): string {
  return printable(message).replace(/\n(?! )/g, '\n  ')
}

function isJson(line: string): boolean {
  if (!/^\s*[[{]/.test(line)) return false
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
