/**
 * Reads the tables that come with CelebA: attributes and parts, as text columns or as CSV.
 *
 * Reference: README of https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
 */
import type { NamedBytes } from '../../formats/cifar.js'

/** A table with a row of numbers for each image, in the order of the file. */
export interface ImageTable<Column extends string> {
  /** Of the file, for errors. */
  readonly file: string
  readonly images: readonly string[]
  readonly columns: Readonly<Record<Column, Int8Array>>
  /** Number of the line of each image in the file, from 1. */
  line(row: number): number
}

/** The column that names an image's file, in CSV tables; in text tables it is the first one and has no name. */
const imageColumn = 'image_id'

/**
 * Reads `list_attr_celeba.txt` (the number of images, the names of the attributes, then an image a line) or
 * `list_attr_celeba.csv` (the same with a header), whatever ends their lines.
 *
 * @param attributes which of them to keep; columns are found by name
 * @returns 1 for images that have an attribute, -1 for images that have not
 * @throws RangeError with file and line when the number of images, a column, a value, or the number of values in a
 *   line is not what it must be, or an image comes twice
 */
export function readAttributes<Name extends string>(
  file: NamedBytes,
  attributes: readonly Name[],
): ImageTable<Name> {
  const lines = linesOf(file)
  if (isCsv(file)) return readRows(csvTable(file, lines), attributes, [-1, 1])
  const count = lines[0]?.trim() ?? ''
  if (!/^\d+$/.test(count)) {
    throw new RangeError(`${file.name}: line 1 must be the number of images, got ${quoted(lines[0])}`)
  }
  if (Number(count) !== lines.length - 2) {
    throw new RangeError(
      `${file.name}: line 1 must be the number of images, got ${count} (${Math.max(0, lines.length - 2)} lines of images)`,
    )
  }
  const header = [imageColumn, ...tokens(lines[1] as string)]
  return readRows({ file: file.name, header, headerLine: 2, lines, split: tokens }, attributes, [-1, 1])
}

/**
 * Reads `list_eval_partition.txt` or `.csv`: to which part an image belongs.
 *
 * @returns in `partition`: 0 for training, 1 for validation, 2 for testing
 * @throws RangeError as {@link readAttributes}
 */
export function readPartition(file: NamedBytes): ImageTable<'partition'> {
  const lines = linesOf(file)
  const table = isCsv(file)
    ? csvTable(file, lines)
    : { file: file.name, header: [imageColumn, 'partition'], headerLine: 0, lines, split: tokens }
  return readRows(table, ['partition'], [0, 1, 2])
}

interface TextTable {
  readonly file: string
  readonly header: readonly string[]
  /** Number of the line with the names of the columns, from 1; 0 where there is none. */
  readonly headerLine: number
  readonly lines: readonly string[]
  split(line: string): string[]
}

function csvTable(file: NamedBytes, lines: readonly string[]): TextTable {
  const split = (line: string): string[] => line.split(',').map(value => value.trim())
  return { file: file.name, header: split(lines[0] ?? ''), headerLine: 1, lines, split }
}

function readRows<Column extends string>(
  { file, header, headerLine, lines, split }: TextTable,
  columns: readonly Column[],
  allowed: readonly number[],
): ImageTable<Column> {
  const imageIndex = columnIndex(file, header, headerLine, imageColumn)
  const outputs = columns.map(name => {
    return {
      name,
      index: columnIndex(file, header, headerLine, name),
      values: new Int8Array(lines.length - headerLine),
    }
  })
  const codes = new Map(allowed.map(value => [String(value), value]))
  const line = (row: number): number => headerLine + 1 + row
  const lineOfImage = new Map<string, number>()
  for (let row = 0; row < lines.length - headerLine; row++) {
    const values = split(lines[headerLine + row] as string)
    if (values.length !== header.length) {
      throw new RangeError(
        `${file}: line ${line(row)} must have ${header.length} values, got ${values.length} ` +
          `(${quoted(lines[headerLine + row])})`,
      )
    }
    const image = imageName(file, line(row), values[imageIndex] as string)
    const earlierLine = lineOfImage.get(image)
    if (earlierLine !== undefined) {
      throw new RangeError(
        `${file}: images must come once, got ${image} in line ${earlierLine} and in line ${line(row)}`,
      )
    }
    lineOfImage.set(image, line(row))
    checkCodes(values, imageIndex, codes, () => `${file}: line ${line(row)} (${image})`, header)
    for (const column of outputs) column.values[row] = codes.get(values[column.index] as string) as number
  }
  if (lineOfImage.size === 0) throw new RangeError(`${file}: table must have lines of images, got none`)
  const entries = outputs.map(({ name, values }) => [name, values])
  const byName = Object.fromEntries(entries) as Record<Column, Int8Array>
  return { file, images: [...lineOfImage.keys()], columns: byName, line }
}

function checkCodes(
  values: readonly string[],
  imageIndex: number,
  codes: ReadonlyMap<string, number>,
  where: () => string,
  header: readonly string[],
): void {
  for (let column = 0; column < values.length; column++) {
    if (column === imageIndex || codes.has(values[column] as string)) continue
    const allowedCodes = [...codes.keys()].join(', ').replace(/, (?!.*, )/, ' or ')
    throw new RangeError(
      `${where()}: ${header[column]} must be ${allowedCodes}, got ${quoted(values[column])}`,
    )
  }
}

function columnIndex(file: string, header: readonly string[], headerLine: number, name: string): number {
  const index = header.indexOf(name)
  if (index >= 0 && index === header.lastIndexOf(name)) return index
  const got = index < 0 ? 'none' : 'several'
  throw new RangeError(
    `${file}: line ${headerLine} must name one column ${name}, got ${got} (${header.length} columns: ` +
      `${shortened(header.join(', '))})`,
  )
}

/** Names of files are joined to folders: they may not lead anywhere else. */
function imageName(file: string, line: number, name: string): string {
  if (/^[^/\\]+$/.test(name) && name !== '.' && name !== '..') return name
  throw new RangeError(`${file}: line ${line} must name an image file, got ${quoted(name)}`)
}

/** The lines of a file without the empty ones at its end. */
function linesOf({ name, bytes }: NamedBytes): string[] {
  const lines = new TextDecoder().decode(bytes).split(/\r\n?|\n/)
  while (lines.at(-1)?.trim() === '') lines.pop()
  if (lines.length === 0) throw new RangeError(`${name}: table must have lines of images, got an empty file`)
  return lines
}

function isCsv({ name }: NamedBytes): boolean {
  return /\.csv$/i.test(name)
}

function tokens(line: string): string[] {
  return line.split(/[ \t]+/).filter(token => token !== '')
}

function quoted(text = ''): string {
  return JSON.stringify(shortened(text))
}

function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}...` : text
}
