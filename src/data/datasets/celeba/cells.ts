import { deriveSeed, permutation, random } from '../../../random.js'

/** Images that belong together in a selection: those of a class, or of a class with one colour of hair. */
export interface Cell {
  /** As errors name it: `Smiling with Blond_Hair`. */
  readonly name: string
  /** Rows of its images. */
  readonly rows: Int32Array
}

/** Which images to select of several cells. */
export interface CellSelection {
  /** Of the dataset, for errors. */
  readonly dataset: string
  /** Which images these are, for errors: `training`. */
  readonly half: 'training' | 'test'
  readonly cells: readonly Cell[]
  /** The number of the cell that the image at each place of the selection is from. */
  turn(place: number): number
  /** How many images; by default as many whole rounds as the cells have images for, with at most `most` images. */
  readonly count?: number | undefined
  readonly most: number
  /** Places after which every class has had its turn. */
  readonly round: number
  readonly seed: number
}

/** Selected images, in the order in which smaller selections are the beginning of larger ones. */
export interface Selected {
  /** (count) */
  readonly rows: Int32Array
  /** (count) numbers of cells. */
  readonly cells: Int32Array
}

/**
 * Selects images of cells by turns, each cell in one seeded order, none twice.
 *
 * @throws RangeError naming the cell, how many images it has and how many are asked for, when one has too few
 */
export function selectCells(selection: CellSelection): Selected {
  const { cells, seed, turn, dataset, half, round } = selection
  for (const { name, rows } of cells) {
    if (rows.length > 0) continue
    throw new RangeError(`${dataset}: cell "${name}" must have ${half} images, got 0`)
  }
  const most = mostImages(selection)
  const { count = round * Math.floor(Math.min(most, selection.most) / round) } = selection
  if (count > most) throw tooFew(selection, count, most)
  const orders = cells.map(({ name, rows }) => {
    const order = permutation(rows.length, random(deriveSeed(seed, 'cell order'), name))
    return order.map(position => rows[position] as number)
  })
  const numTaken = new Int32Array(cells.length)
  const selected = { rows: new Int32Array(count), cells: new Int32Array(count) }
  for (let position = 0; position < count; position++) {
    const cell = turn(position)
    selected.rows[position] = orders[cell]?.[numTaken[cell] as number] as number
    selected.cells[position] = cell
    numTaken[cell] = (numTaken[cell] as number) + 1
  }
  return selected
}

/** How many images can be selected before a cell has none left. */
function mostImages({ cells, turn }: CellSelection): number {
  const numLeft = cells.map(({ rows }) => rows.length)
  for (let position = 0; ; position++) {
    const cell = turn(position)
    if (numLeft[cell] === 0) return position
    numLeft[cell] = (numLeft[cell] as number) - 1
  }
}

function tooFew({ dataset, half, cells, turn }: CellSelection, count: number, most: number): RangeError {
  // The first cell that runs out is the one to name.
  const shortCell = turn(most)
  let numRequested = 0
  for (let position = 0; position < count; position++) if (turn(position) === shortCell) numRequested++
  const { name, rows } = cells[shortCell] as Cell
  return new RangeError(
    `${dataset}: cell "${name}" must have ${numRequested} ${half} images, got ${rows.length} ` +
      `(${count} images asked, at most ${most} can be had)`,
  )
}
