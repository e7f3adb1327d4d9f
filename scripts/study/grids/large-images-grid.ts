import * as z from 'zod'
import type {
  LargeImagesScale,
  LargeImagesVariant,
  LocaliseExperiment,
  MegapixelExperiment,
} from '../../experiments/experiment.js'
import type { CellSetting } from '../cell.js'
import type { GridKind } from './grid-kind.js'
import { count, flags, sweep } from './variants.js'

/** Networks that are trained on large images. */
export interface LargeImagesGrid extends Omit<LargeImagesScale, 'seeds' | 'cost'> {
  readonly variants: readonly LargeImagesVariant[]
}

/** Networks against tasks and training images, and their time against the size of an image. */
export interface MegapixelGrid extends Omit<LargeImagesScale, 'seeds'>, LargeImagesGrid {
  readonly kind: 'megapixel'
}

/** Networks whose looking is judged. */
export interface LocaliseGrid extends LargeImagesGrid {
  readonly kind: 'localise'
  readonly images: number
}

/** The cell that measures time. */
export const costVariant = 'cost'

const schema = z.strictObject({
  tasks: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        dataset: z.string().min(1),
        flags,
        samples: sweep,
        testSamples: count,
        variants: z.array(z.string()).exactOptional(),
      }),
    )
    .min(1),
  variants: z.array(
    z.strictObject({ name: z.string().min(1), reads: z.enum(['image', 'view', 'patches']), flags }),
  ),
  steps: count,
  batchSize: count,
})

/** Studies of what networks learn on large images; the cells of one number of images stand side by side. */
export const megapixelGrid: GridKind<MegapixelExperiment, MegapixelGrid> = {
  schema: schema.extend({
    kind: z.literal('megapixel'),
    cost: z
      .strictObject({ dataset: z.string().min(1), sides: sweep, batch: count, rounds: count })
      .exactOptional(),
  }),
  gridOf({ scales, variants }, scale) {
    const { seeds, ...grid } = scales[scale]
    return { grid: { kind: 'megapixel', ...grid, variants }, seeds }
  },
  settings(grid) {
    const times = (grid.cost?.sides ?? []).map(side => ({
      setting: `${side}x${side}`,
      variant: costVariant,
    }))
    return [...trainedCells(grid), ...times]
  },
  mostSettings: grid => mostCells(grid) + (grid.cost?.sides.length ?? 0),
}

/** Studies of where networks look on large images. */
export const localiseGrid: GridKind<LocaliseExperiment, LocaliseGrid> = {
  schema: schema.extend({ kind: z.literal('localise'), images: count }),
  gridOf({ scales, variants }, scale) {
    const { seeds, ...grid } = scales[scale]
    return { grid: { kind: 'localise', ...grid, variants }, seeds }
  },
  settings: trainedCells,
  mostSettings: mostCells,
}

function trainedCells({ tasks, variants }: LargeImagesGrid): CellSetting[] {
  return tasks.flatMap(({ name, samples, variants: names }) =>
    samples.flatMap(number =>
      variants
        .filter(variant => names?.includes(variant.name) ?? true)
        .map(variant => ({ setting: name, variant: variant.name, samples: number })),
    ),
  )
}

function mostCells({ tasks, variants }: LargeImagesGrid): number {
  return tasks.reduce((sum, { samples }) => sum + samples.length * variants.length, 0)
}
