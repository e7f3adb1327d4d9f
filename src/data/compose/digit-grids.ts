import type { DataSource } from '../data-source.js'
import { checkSamples, type Dataset, type DatasetOptions, testSeed } from '../datasets/dataset.js'
import { loadIdx } from '../formats/idx.js'
import { composeGrid } from './compose.js'

/** Default number of images of a half: the most that the paper's experiments have. */
export const defaultGrids = 1000

const gridSide = 4
const targets: readonly number[] = [0, 1]
const digits = 10

/** Options that patch grids have besides those of every dataset. */
export const gridSettings = ['gridSide', 'targets', 'distractors'] as const

/**
 * Composes the paper's synthetic MNIST task out of IDX files: which of the target digits is in one cell of a grid, among
 * other digits in all the other cells.
 *
 * @param name of the dataset
 * @param source IDX files of any images, of any size
 * @param options by default 4x4 cells, digits 0 and 1 to be recognised, and all other digits in the other cells
 * @throws RangeError when an option is out of range or a class has no images; Error when a file is missing or damaged
 */
export async function loadDigitGrids(
  name: string,
  source: DataSource,
  options: DatasetOptions,
): Promise<Dataset> {
  checkSamples(name, options)
  const { samples = defaultGrids, testSamples = defaultGrids, seed } = options
  const roles = rolesOf(options)
  const classNames = classNamesOf(roles)
  const train = await loadIdx(source, 'train', classNames)
  const test = await loadIdx(source, 't10k', classNames)
  return {
    name,
    train: composeGrid({ ...roles, pool: train, count: samples, seed }),
    test: composeGrid({ ...roles, pool: test, count: testSamples, seed: testSeed }),
  }
}

interface Roles {
  readonly grid: readonly [number, number]
  readonly targets: readonly number[]
  readonly distractors: readonly number[]
}

function rolesOf(options: DatasetOptions): Roles {
  const side = options.gridSide ?? gridSide
  const shown = options.targets ?? targets
  const others = Array.from({ length: digits }, (_, digit) => digit).filter(digit => !shown.includes(digit))
  return { grid: [side, side], targets: shown, distractors: options.distractors ?? others }
}

/** The digits, or as many more classes as are asked for. */
function classNamesOf({ targets: shown, distractors }: Roles): string[] {
  const classes = [...shown, ...distractors].filter(label => Number.isInteger(label) && label < 256)
  return Array.from({ length: Math.max(digits, ...classes.map(label => label + 1)) }, (_, label) =>
    String(label),
  )
}
