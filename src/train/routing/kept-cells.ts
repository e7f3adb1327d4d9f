import * as z from 'zod'
import { boxAt, type ObjectBox, sharedPixels } from '../../data/compose/object-box.js'
import type { RegionObjects } from '../../data/regions/region-stream.js'
import { type Cluster, summed } from '../cluster/cluster.js'

/** The patches that were kept of some images, counted; sums of two such counts are counts. */
export interface KeptCells {
  /** Patches that were kept. */
  readonly patches: number
  /** Those of them whose pixels are all nearly the same. */
  readonly blank: number
  /** Things that decide a class, where their boxes are known. */
  readonly relevant?: number
  /** Those of them of which one patch holds enough. */
  readonly found?: number
}

/** The stored form of {@link KeptCells}. */
export const keptCellsSchema = z.strictObject({
  patches: z.int().nonnegative(),
  blank: z.int().nonnegative(),
  relevant: z.int().nonnegative().exactOptional(),
  found: z.int().nonnegative().exactOptional(),
})

/** How well the patches that a model keeps are chosen. */
export interface KeptShares {
  /** Share of the kept patches whose pixels are all nearly the same, in [0, 1]. */
  readonly blank: number
  /** Share of the things that decide a class of which 70 % lie in one kept patch, in [0, 1]; where their boxes are known. */
  readonly recall?: number
}

/** The stored form of {@link KeptShares}. */
export const keptSharesSchema = z.strictObject({
  blank: z.number(),
  recall: z.number().exactOptional(),
})

/** The patches that a model kept of the images of a batch. */
export interface KeptPatches {
  /** (count, patches, 4) int32: top, left, height and width in pixels. */
  readonly boxes: Int32Array
  /** How many of them are blank. */
  readonly blank: number
}

/** A thing is found when a kept patch holds this share of its box. */
export const ENOUGH = 0.7

/**
 * Counts the kept patches of a batch.
 *
 * @param objects one entry an image, where it is known what is in them
 */
export function countKept({ boxes, blank }: KeptPatches, objects?: readonly RegionObjects[]): KeptCells {
  const patches = boxes.length / 4
  if (!objects) return { patches, blank }
  const perImage = boxes.length / objects.length
  let [relevant, found] = [0, 0]
  for (const [image, things] of objects.entries()) {
    const kept = boxes.subarray(image * perImage, (image + 1) * perImage)
    for (const [thing, decides] of things.relevant.entries()) {
      if (!decides) continue
      relevant++
      const box = boxAt(things.boxes, thing)
      const most = Math.max(...sharedWithEach(box, kept))
      if (most >= ENOUGH * box[2] * box[3]) found++
    }
  }
  return { patches, blank, relevant, found }
}

/**
 * How many pixels a box has in common with each of others.
 *
 * @param others (count, 4) top, left, height and width in pixels
 */
export function sharedWithEach(box: ObjectBox, others: Int32Array): number[] {
  return Array.from({ length: others.length / 4 }, (_, i) => sharedPixels(box, boxAt(others, i)))
}

/** Both counts together. */
export function addKept(a: KeptCells | undefined, b: KeptCells | undefined): KeptCells | undefined {
  if (!a || !b) return a ?? b
  const sum = { patches: a.patches + b.patches, blank: a.blank + b.blank }
  if (a.relevant === undefined || b.relevant === undefined) return sum
  return { ...sum, relevant: a.relevant + b.relevant, found: (a.found ?? 0) + (b.found ?? 0) }
}

/** The counts of all workers together; undefined where none has any. */
export async function keptByWorkers(
  cluster: Cluster,
  kept: KeptCells | undefined,
): Promise<KeptCells | undefined> {
  const {
    patches: ownPatches = 0,
    blank: ownBlank = 0,
    relevant: ownRelevant,
    found: ownFound = 0,
  } = kept ?? {}
  const own = [ownPatches, ownBlank, ownRelevant ?? 0, ownFound, ownRelevant === undefined ? 0 : 1]
  const [patches = 0, blank = 0, relevant = 0, found = 0, known = 0] = await summed(cluster, own)
  if (patches === 0) return undefined
  return { patches, blank, ...(known > 0 && { relevant, found }) }
}

/** Counts as shares; no recall where there is nothing to be found. */
export function keptShares({ patches, blank, relevant, found }: KeptCells): KeptShares {
  return { blank: blank / patches, ...(relevant && { recall: (found ?? 0) / relevant }) }
}

/** The epoch after which blank patches are remarked on. */
export const REMARKED_EPOCH = 3

/** What a person should know of the patches that an epoch kept; undefined where they look well. */
export function keptRemark({ blank }: KeptShares): string | undefined {
  if (blank <= 0.5) return undefined
  return (
    `${Math.round(100 * blank)} % of the kept patches are blank after ${REMARKED_EPOCH} epochs: the router does not find what ` +
    "matters, and seldom starts to later. Give it the prior 'contrast', cells of about the size of the things, or keep fewer " +
    'patches if images hold fewer things than are kept.'
  )
}
