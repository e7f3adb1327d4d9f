import { permutation, type Random, random } from '../../random.js'
import { isPositiveInteger } from '../../shapes.js'
import type { PixelSet } from '../image-set.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { type TheoryPatterns, theoryDefaults, theoryPatterns } from './theory-patterns.js'

/** How many images of a data model, and of how many patches. */
export interface TheoryImagesOptions {
  readonly patterns: TheoryPatterns
  /** Patches on a side of an image: n is its square, at least l*. */
  readonly gridSide: number
  /** How many images to draw. */
  readonly count: number
  /** The same seed gives the same bytes; fewer images are the first of more. */
  readonly seed: number
}

/** Half a step of a byte is lost of each coordinate at most. */
const scale = 255

/**
 * Draws images of the theory's data model: one patch is the pattern of the image's class, l* - 1 patches are patterns
 * closer to one class than to the others (that class drawn uniformly, whatever the image's own is), every other patch
 * is of a set drawn uniformly from the rest. Where the patches lie is drawn uniformly; the classes take turns.
 *
 * A pattern of a set lies at an angle drawn uniformly up to the set's radius, from the centre towards a drawn unit
 * vector without negative coordinates.
 *
 * @returns grey images; a byte is 255 times a coordinate, so that what training divides by 255 is the pattern. What
 *   rounding takes from a pixel goes to the next one of the same direction, so that inner products stay those of the
 *   patterns to about 0.002
 * @throws RangeError when `gridSide` or `count` is out of range
 */
export function theoryImages({ patterns, gridSide, count, seed }: TheoryImagesOptions): PixelSet {
  const { options, discriminative } = patterns
  const { numClasses, patchSide, lStar } = options
  const patches = gridSide ** 2
  if (!isPositiveInteger(gridSide) || patches < lStar) {
    throw new RangeError(
      `theory-patches: gridSide must give at least lStar ${lStar} patches, got ${gridSide} a side`,
    )
  }
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`theory-patches: count must be an integer of at least 0, got ${count}`)
  }
  const side = gridSide * patchSide
  const images = new Uint8Array(count * side * side)
  const labels = Int32Array.from({ length: count }, (_, i) => i % numClasses)
  const trueCell = new Int32Array(count)
  const chance = random(seed, 'theory patches')
  for (let i = 0; i < count; i++) {
    const cells = permutation(patches, chance)
    const confusing = confusingSet(patterns, chance)
    trueCell[i] = cells[0]!
    for (const [index, cell] of cells.entries()) {
      const pattern =
        index === 0
          ? discriminative[labels[i]!]!
          : drawPattern(patterns, index < lStar ? confusing : neutralSet(patterns, chance), chance)
      writePatch(images, i * side * side, pattern, patterns, { cell, gridSide })
    }
  }
  return {
    images,
    labels,
    count,
    shape: [side, side, 1],
    classNames: discriminative.map((_, i) => `pattern ${i + 1}`),
    cells: [gridSide, gridSide],
    trueCell,
  }
}

/** Drawn also where there is none: an image then always costs the same draws. */
function confusingSet({ options }: TheoryPatterns, chance: Random): number {
  return chance.below(options.numClasses)
}

function neutralSet({ options }: TheoryPatterns, chance: Random): number {
  const first = options.lStar > 1 ? options.numClasses : 0
  return first + chance.below(options.patternSets - first)
}

function drawPattern({ sets, options }: TheoryPatterns, set: number, chance: Random): Float64Array {
  const { center } = sets[set]!
  const toward = center.map(() => Math.abs(chance.normal()))
  const length = Math.hypot(...toward)
  const cosine = toward.reduce((sum, value, i) => sum + (value / length) * center[i]!, 0)
  const fullAngle = Math.acos(Math.min(1, cosine))
  const angle = Math.min(fullAngle, chance.next() * 2 * Math.asin(options.radius / 2))
  if (angle === 0) return center
  // Both shares are at least 0 up to the whole angle: no coordinate becomes negative.
  const [stay, go] = [
    Math.sin(fullAngle - angle) / Math.sin(fullAngle),
    Math.sin(angle) / Math.sin(fullAngle),
  ]
  return center.map((value, i) => stay * value + (go * toward[i]!) / length)
}

function writePatch(
  images: Uint8Array,
  start: number,
  pattern: Float64Array,
  { options: { patchSide }, direction }: TheoryPatterns,
  { cell, gridSide }: { cell: number; gridSide: number },
): void {
  const rest = new Float64Array(Math.max(...direction) + 1)
  const top = Math.floor(cell / gridSide) * patchSide
  const left = (cell % gridSide) * patchSide
  for (const [pixel, value] of pattern.entries()) {
    const index = direction[pixel]!
    const exact = value * scale + rest[index]!
    const byte = Math.min(scale, Math.max(0, Math.round(exact)))
    rest[index] = exact - byte
    const row = top + Math.floor(pixel / patchSide)
    images[start + row * gridSide * patchSide + left + (pixel % patchSide)] = byte
  }
}

const defaultSamples = 500
const defaultTestSamples = 1000

/** The data model of the theory, drawn: its separations and its l* are set, and so are known. */
export const theoryPatches: DatasetEntry = {
  name: 'theory-patches',
  title: 'Patterns of the theory',
  source: 'generated',
  taskForbids: ['mirroring', 'turning', 'cutting'],
  description:
    "Unit vectors as patches: one tells the class, some are closer to one class's pattern, the rest tell nothing.",
  licence: 'none needed: drawn from a seed',
  homepage: 'https://github.com/nowazrabbani/pMoE_CNN',
  defaultSamples,
  settings: ['gridSide', 'theory'],
  recipe: {
    suggested: 'twoLayer',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(500, 15, 32, 0.1) },
    twoLayer: {
      patchSize: 8,
      patches: 16,
      patchesPerExpert: 6,
      oneLogit: true,
      training: sgd(500, 100, 20, 0.2),
    },
  },
  async load(_source, options) {
    checkSamples(theoryPatches.name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed, gridSide = 4, theory } = options
    const patterns = theoryPatterns({ ...theoryDefaults, ...theory })
    return {
      name: theoryPatches.name,
      train: theoryImages({ patterns, gridSide, count: samples, seed }),
      test: theoryImages({ patterns, gridSide, count: testSamples, seed: testSeed }),
    }
  },
}
