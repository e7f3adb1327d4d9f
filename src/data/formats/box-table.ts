/** Boxes of things by the paths of their images: (count, 4) top, left, height and width in pixels. */
export type BoxTable = ReadonlyMap<string, Int32Array>

const COLUMNS = ['image', 'top', 'left', 'height', 'width'] as const
const HEADER = COLUMNS.join(',')

/**
 * Reads a table of boxes, a line for each thing on an image:
 *
 *     image,top,left,height,width
 *     train/scratched/17.jpg,1204,388,60,75
 *
 * Paths are those within the folder of the dataset, with `/` between folders; quotes around them are taken off. A click is a
 * box of 1 pixel.
 *
 * @param bytes UTF-8
 * @param name of the file, for errors
 * @throws Error naming the line that is no such box, or when there is none
 */
export function parseBoxTable(bytes: Uint8Array, name: string): BoxTable {
  const [header = '', ...lines] = new TextDecoder().decode(bytes).split(/\r?\n/)
  if (header.replaceAll(' ', '') !== HEADER) {
    throw new Error(`${name}: the first line must be ${HEADER}, got ${JSON.stringify(header.slice(0, 80))}`)
  }
  const boxes = new Map<string, number[]>()
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue
    const { image, box } = parsedLine(line, `${name}: line ${i + 2}`)
    boxes.set(image, [...(boxes.get(image) ?? []), ...box])
  }
  if (boxes.size === 0)
    throw new Error(`${name}: must have a line for each thing, got none after the first line`)
  return new Map([...boxes].map(([image, numbers]) => [image, Int32Array.from(numbers)]))
}

/** A path may have commas: the numbers are the last four values. */
function parsedLine(
  line: string,
  where: string,
): { readonly image: string; readonly box: readonly number[] } {
  const values = line.split(',')
  const numbers = values.slice(-4).map(value => (value.trim() === '' ? Number.NaN : Number(value)))
  const [, , height = 0, width = 0] = numbers
  const image = values
    .slice(0, -4)
    .join(',')
    .trim()
    .replace(/^"(.*)"$/, '$1')
  if (image === '' || !numbers.every(Number.isInteger) || height < 1 || width < 1) {
    throw new Error(
      `${where}: must be ${HEADER}, four integers of pixels with sides of at least 1, got ${JSON.stringify(line.slice(0, 80))}`,
    )
  }
  return { image, box: numbers }
}
