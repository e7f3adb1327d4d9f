/** Columns by which the further lines of a command are indented. */
const commandIndent = 6

/**
 * Breaks the lines of a text that are longer than a terminal is wide, between words; a single longer word stays whole.
 * The further lines are indented like the first, or to its second column where it has columns. A command, which begins
 * with `$` or `pmoe`, is continued with a backslash, as shells expect.
 *
 * @param width in columns
 */
export function wrappedText(text: string, width: number): string {
  return text
    .split('\n')
    .map(line => (line.length <= width ? line : wrappedLine(line, width)))
    .join('\n')
}

function wrappedLine(line: string, width: number): string {
  const indent = /^ */.exec(line)?.[0] ?? ''
  const text = line.slice(indent.length)
  if (/^(\$|pmoe) /.test(text)) return wrappedCommand(indent, text, width)
  return broken(line.match(/ *[^ ]+/g) ?? [], { width, hanging: hangingIndent(line, width) })
}

/** How far further lines are indented: to the second column, unless that lies beyond half the width. */
function hangingIndent(line: string, width: number): number {
  const column = /^ *\S+(?: \S+)* {2,}(?=\S)/.exec(line)?.[0].length ?? 0
  if (column > 0) return column <= width / 2 ? column : 4
  return /^ */.exec(line)?.[0].length ?? 0
}

function wrappedCommand(indent: string, text: string, width: number): string {
  // An option stays with its value.
  const words = text.match(/(?: --?[\w-]+(?: [^- ][^ ]*)?)|(?:^| )[^ ]+/g) ?? []
  return broken([indent + words[0], ...words.slice(1)], { width, hanging: commandIndent, mark: ' \\' })
}

interface Breaking {
  readonly width: number
  /** Columns that lines after the first are indented by. */
  readonly hanging: number
  /** What a line that is continued ends with. */
  readonly mark?: string
}

/** @param words each with the spaces in front of it */
function broken(words: readonly string[], { width, hanging, mark = '' }: Breaking): string {
  const lines: string[] = []
  let line = ''
  words.forEach((word, i) => {
    const room = width - (i === words.length - 1 ? 0 : mark.length)
    if (i === 0 || line.length + word.length <= room) {
      line += word
      return
    }
    lines.push(line + mark)
    const bare = word.trimStart()
    // A word that would not fit behind the indent begins further left.
    line = ' '.repeat(Math.max(0, Math.min(hanging, width - bare.length - mark.length))) + bare
  })
  return [...lines, line].join('\n')
}
