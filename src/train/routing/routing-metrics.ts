import { boxAt, checkBoxes } from '../../data/compose/object-box.js'
import type { Size2D } from '../../shapes.js'
import { type DispatchMetrics, dispatchMetrics } from './dispatch-metrics.js'
import type { RoutingRecord } from './routing-record.js'
import { patchesOfBox, patchesOfCells } from './true-patches.js'

/** The classes of the images whose routing was recorded, and where each image shows its class. */
export interface RoutedLabels {
  /** (count) class numbers in [0, numClasses). */
  readonly labels: Int32Array
  readonly numClasses: number
  /** Where the class is known to be shown: the grid of cells of an image, [rows, columns]. */
  readonly cells?: Size2D
  /** (count) the number of the cell that shows the class; with `cells`. */
  readonly trueCell?: Int32Array
  /** (count, 4) the box in which each image shows its class: top, left, height and width in pixels. */
  readonly objectBox?: Int32Array
  /** Height and width of the images, in pixels; with `objectBox`. */
  readonly imageSize?: Size2D
}

/** How one expert weighs the patches that it keeps. */
export interface GateStatistics {
  readonly mean: number
  /** Over images and kept patches together, with n. */
  readonly standardDeviation: number
  readonly least: number
  readonly largest: number
  /** Mean over the images of the largest gate's share of the sum of gates: 1/L where all are alike, 1 at most. */
  readonly largestShare: number
}

/**
 * Whether experts find the true patches, those that show the class (what the theory calls discriminative). An expert's best
 * patch is the one of its largest gate.
 */
export interface TruthMetrics {
  /** (L) share of images of which at least one expert has a true patch among its r best, r = 1 .. L. */
  readonly recall: readonly number[]
  /** (K, classes, L) the same for each expert and the images of each class; NaN for a class without images. */
  readonly recallByExpert: readonly (readonly (readonly number[])[])[]
  /** (L) the same for only the expert with the number of the image's class; if K is the number of classes (Figure 8). */
  readonly ownRecall?: readonly number[]
  /**
   * For each class the expert whose best patch is a true one for the largest share of the class's images, and that
   * share (Figure 9, Assumption 4.4). The lower expert where shares are equal.
   */
  readonly largestGate: readonly { readonly expert: number; readonly share: number }[]
  /** Which expert each image's true patch goes to, and what that tells of the class. */
  readonly dispatch: DispatchMetrics
  /** Experts to which no true patch of any image goes. */
  readonly deadExperts: readonly number[]
}

/** What was measured of a routing. */
export interface RoutingMetrics {
  readonly images: number
  readonly numExperts: number
  readonly patchesPerExpert: number
  /** Shares of all patches of all images that no expert kept, exactly one did, several did; they sum to 1. */
  readonly coverage: { readonly none: number; readonly one: number; readonly several: number }
  /** (K) which experts of the unpruned network they are; absent where none was pruned. */
  readonly experts?: NonNullable<RoutingRecord['experts']>
  /** (K) */
  readonly gates: readonly GateStatistics[]
  /** Experts that keep the same patches of every image, so that they choose by position, not by content. */
  readonly fixedExperts: readonly number[]
  /** How well the experts find the patches that show the class; absent where these are not known. */
  readonly truth?: TruthMetrics
}

/**
 * Measures a routing: how the experts cover the patches and weigh them, and whether they find the part of an image that
 * shows its class, where this is known.
 *
 * Of images composed of cells, a patch is true where it shows a part of the true cell. Of images with an object in a
 * box, a patch is true where at least half of its area lies in the box (patches cover the image evenly); if there is no
 * such patch, the one that overlaps the box most, or several that overlap it equally. Where there are several true patches,
 * one of them among the kept ones is enough. If an image has both a cell and a box, the box counts.
 *
 * @throws RangeError when the labels do not belong to the record, a label or cell is out of range, a box does not lie in
 *   its image, or boxes come without the size of the images
 */
export function routingMetrics(record: RoutingRecord, labels: RoutedLabels): RoutingMetrics {
  checkLabels(record, labels)
  const { count, numExperts, patchesPerExpert, experts } = record
  const metrics = {
    images: count,
    numExperts,
    patchesPerExpert,
    ...(experts && { experts }),
    coverage: coverage(record),
    gates: Array.from({ length: numExperts }, (_, expert) => gateStatistics(record, expert)),
    fixedExperts: fixedExperts(record),
  }
  const isTrue = truePatches(record, labels)
  return isTrue ? { ...metrics, truth: truthMetrics(record, labels, isTrue) } : metrics
}

/** Whether each patch of an image is true, (patches). */
type TruePatches = (image: number) => readonly boolean[]

function truePatches({ grid }: RoutingRecord, labels: RoutedLabels): TruePatches | undefined {
  const { cells, trueCell, objectBox, imageSize } = labels
  if (objectBox && imageSize) return image => patchesOfBox(grid, imageSize, boxAt(objectBox, image))
  if (!cells || !trueCell) return undefined
  const ofCell = patchesOfCells(grid, cells)
  return image => ofCell[trueCell[image]!]!
}

function truthMetrics(record: RoutingRecord, labels: RoutedLabels, isTrue: TruePatches): TruthMetrics {
  const { count, numExperts: K, patchesPerExpert: L } = record
  const { numClasses } = labels
  const ranks = trueRanks(record, isTrue)
  const classSizes = tally(numClasses, labels.labels)
  // (K, classes, L + 1): images whose best true patch has this rank, L standing for none.
  const atRank = Array.from({ length: K }, () =>
    Array.from({ length: numClasses }, () => new Array<number>(L + 1).fill(0)),
  )
  const bestRank = new Array<number>(L + 1).fill(0)
  const ownRank = new Array<number>(L + 1).fill(0)
  const counts = Array.from({ length: numClasses }, () => new Array<number>(K).fill(0))
  for (let image = 0; image < count; image++) {
    const label = labels.labels[image]!
    const ranksOfImage = ranks.subarray(image * K, (image + 1) * K)
    for (const [expert, rank] of ranksOfImage.entries()) atRank[expert]![label]![rank]!++
    bestRank[Math.min(...ranksOfImage)]!++
    if (K === numClasses) ownRank[ranksOfImage[label]!]!++
    const expert = receiver(record, image, ranksOfImage)
    if (expert !== undefined) counts[label]![expert]!++
  }
  const recallByExpert = atRank.map(classes =>
    classes.map((ranked, label) => recallOf(ranked, classSizes[label]!)),
  )
  return {
    recall: recallOf(bestRank, count),
    recallByExpert,
    ...(K === numClasses && { ownRecall: recallOf(ownRank, count) }),
    largestGate: classSizes.map((_, label) => bestExpert(recallByExpert.map(classes => classes[label]![0]!))),
    dispatch: dispatchMetrics(counts),
    deadExperts: expertsWhere(K, expert => counts.every(row => row[expert] === 0)),
  }
}

/** (count,K) the rank of the best true patch among the kept ones, L where none is. */
function trueRanks(record: RoutingRecord, isTrue: TruePatches): Int32Array {
  const { count, numExperts: K, patchesPerExpert: L, indices } = record
  const ranks = new Int32Array(count * K)
  for (let image = 0; image < count; image++) {
    const patches = isTrue(image)
    for (let row = image * K; row < (image + 1) * K; row++) {
      const rank = indices.subarray(row * L, (row + 1) * L).findIndex(patch => patches[patch] === true)
      ranks[row] = rank < 0 ? L : rank
    }
  }
  return ranks
}

/**
 * The expert that an image's true patch goes to: the one that gives it the largest gate; among equal gates the one that
 * ranks it highest, and among these the one with the lowest number. Undefined where no expert keeps it.
 */
function receiver(record: RoutingRecord, image: number, ranks: Int32Array): number | undefined {
  const { numExperts: K, patchesPerExpert: L, gates } = record
  let best: { expert: number; gate: number; rank: number } | undefined
  for (const [expert, rank] of ranks.entries()) {
    if (rank === L) continue
    const gate = gates[(image * K + expert) * L + rank]!
    if (!best || gate > best.gate || (gate === best.gate && rank < best.rank)) best = { expert, gate, rank }
  }
  return best?.expert
}

/**
 * @param atRank how many images have their best true patch at each rank
 * @returns (L) the share of images that have one among the r best
 */
function recallOf(atRank: readonly number[], images: number): number[] {
  let sum = 0
  return atRank.slice(0, -1).map(count => {
    sum += count
    return sum / images
  })
}

function bestExpert(shares: readonly number[]): { expert: number; share: number } {
  const expert = shares.reduce((best, share, i) => (share > shares[best]! ? i : best), 0)
  return { expert, share: shares[expert]! }
}

function coverage({ grid, count, numExperts: K, patchesPerExpert: L, indices }: RoutingRecord) {
  const patches = grid[0] * grid[1]
  const timesKept = new Int32Array(patches)
  const totals = [0, 0, 0]
  for (let image = 0; image < count; image++) {
    timesKept.fill(0)
    for (let slot = 0; slot < K * L; slot++) timesKept[indices[image * K * L + slot]!]!++
    for (const times of timesKept) totals[Math.min(times, 2)]!++
  }
  const [none, one, several] = totals.map(total => total / (count * patches)) as [number, number, number]
  return { none, one, several }
}

function gateStatistics(
  { count, numExperts: K, patchesPerExpert: L, gates }: RoutingRecord,
  expert: number,
): GateStatistics {
  let [sum, squares, least, largest, shares] = [0, 0, Infinity, -Infinity, 0]
  for (let image = 0; image < count; image++) {
    const gatesOfImage = gates.subarray((image * K + expert) * L, (image * K + expert + 1) * L)
    let total = 0
    let most = -Infinity
    for (const gate of gatesOfImage) {
      total += gate
      squares += gate * gate
      least = Math.min(least, gate)
      most = Math.max(most, gate)
    }
    sum += total
    largest = Math.max(largest, most)
    shares += total > 0 ? most / total : 1 / L
  }
  const mean = sum / (count * L)
  const variance = Math.max(0, squares / (count * L) - mean * mean)
  return { mean, standardDeviation: Math.sqrt(variance), least, largest, largestShare: shares / count }
}

function fixedExperts({ count, numExperts: K, patchesPerExpert: L, indices }: RoutingRecord): number[] {
  return expertsWhere(K, expert => {
    const first = new Set(indices.subarray(expert * L, (expert + 1) * L))
    for (let slot = 0; slot < count * L; slot++) {
      const index = (Math.floor(slot / L) * K + expert) * L + (slot % L)
      if (!first.has(indices[index]!)) return false
    }
    return count > 1
  })
}

function expertsWhere(numExperts: number, holds: (expert: number) => boolean): number[] {
  return Array.from({ length: numExperts }, (_, expert) => expert).filter(holds)
}

function tally(parts: number, values: Int32Array): number[] {
  const counts = new Array<number>(parts).fill(0)
  for (const value of values) counts[value]!++
  return counts
}

function checkLabels(
  { count }: RoutingRecord,
  { labels, numClasses, cells, trueCell, objectBox, imageSize }: RoutedLabels,
): void {
  const where = 'routingMetrics'
  if (count < 1) throw new RangeError(`${where}: record must hold at least 1 image, got ${count}`)
  for (const [name, values, bound] of [
    ['labels', labels, numClasses],
    ['trueCell', trueCell, cells ? cells[0] * cells[1] : 0],
  ] as const) {
    if (!values) continue
    if (values.length !== count) {
      throw new RangeError(`${where}: ${name} must be one for each of ${count} images, got ${values.length}`)
    }
    const wrong = values.findIndex(value => value < 0 || value >= bound)
    if (wrong < 0) continue
    throw new RangeError(
      `${where}: ${name} must be in [0, ${bound - 1}], got ${values[wrong]} (image ${wrong})`,
    )
  }
  if (!objectBox) return
  if (!imageSize) throw new RangeError(`${where}: imageSize must be given with objectBox, got none`)
  if (objectBox.length !== 4 * count) {
    throw new RangeError(
      `${where}: objectBox must be 4 numbers for each of ${count} images, got ${objectBox.length}`,
    )
  }
  checkBoxes(objectBox, imageSize, where, image => `image ${image}`)
}
