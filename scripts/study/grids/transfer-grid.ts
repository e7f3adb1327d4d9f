import * as z from 'zod'
import {
  type BodyOrigin,
  bodyOrigins,
  type TransferExperiment,
  type TransferPart,
  type TransferScale,
} from '../../experiments/transfer-experiment.js'
import type { Cell, CellSetting } from '../cell.js'
import type { GridKind } from './grid-kind.js'
import { count, sweep } from './variants.js'

/** Layers on maps of several sizes, by what stands before them and what the images show. */
export interface TransferGrid extends Omit<TransferScale, 'seeds'> {
  readonly kind: 'transfer'
}

/** One map, and what is compared on it. */
export interface ComparedMap {
  readonly side: number
  /** Percent of the patches that each expert of a mixture keeps, a mixture each. */
  readonly kept: readonly number[]
}

const percents = z.array(z.number().positive().max(100)).min(1)
const rate = z.number().positive()
const training = z.strictObject({ steps: count, leastEpochs: count, batchSize: count })
const compared = training.extend({ learningRates: z.strictObject({ dense: rate, mixture: rate }) })

/** Studies of where a mixture pays. A cell is one body on images of one kind; it compares all layers on all maps. */
export const transferGrid: GridKind<TransferExperiment, TransferGrid> = {
  schema: z.strictObject({
    kind: z.literal('transfer'),
    parts: z
      .array(
        z.strictObject({
          body: z.enum(bodyOrigins),
          shares: percents,
          samples: sweep,
          // The images of the study's own network have 64 pixels a side, and its strides are 2.
          maps: z.array(z.literal([4, 8, 16, 32])).min(1),
          kept: percents,
        }),
      )
      .min(1),
    testSamples: count,
    training: z.strictObject({ pretrained: compared, 'from scratch': compared }),
    pretraining: training.extend({ learningRate: rate, samples: count }),
  }),
  gridOf({ scales }, scale) {
    const { seeds, ...grid } = scales[scale]
    return { grid: { kind: 'transfer', ...grid }, seeds }
  },
  settings({ parts }) {
    const cells = parts.flatMap(({ body, shares, samples }) =>
      shares.flatMap(share =>
        samples.map((number): CellSetting => ({ setting: shareText(share), variant: body, samples: number })),
      ),
    )
    const different = new Map(cells.map(cell => [Object.values(cell).join('|'), cell]))
    return [...different.values()]
  },
  mostSettings: ({ parts }) =>
    parts.reduce((sum, { shares, samples }) => sum + shares.length * samples.length, 0),
}

/** Percent of the image that the object fills, as a cell names it: `10 %`. */
export function shareText(percent: number): string {
  return `${percent} %`
}

/** The percentage that a cell's setting names. */
export function shareOf({ setting }: Pick<Cell, 'setting'>): number {
  return Number.parseFloat(setting ?? '')
}

/** What a cell compares: of all parts that hold it. */
export function comparedMaps({ parts }: Pick<TransferGrid, 'parts'>, cell: Cell): ComparedMap[] {
  const own = parts.filter(part => holds(part, cell))
  const sides = [...new Set(own.flatMap(({ maps }) => maps))].sort((a, b) => a - b)
  return sides.map(side => {
    const kept = own.filter(({ maps }) => maps.includes(side)).flatMap(part => part.kept)
    return { side, kept: [...new Set(kept)].sort((a, b) => a - b) }
  })
}

function holds({ body, shares, samples }: TransferPart, cell: Cell): boolean {
  return body === cell.variant && shares.includes(shareOf(cell)) && samples.includes(cell.samples ?? 0)
}

/** What stands before the layers of a cell. */
export function bodyOf({ variant, index }: Pick<Cell, 'variant' | 'index'>): BodyOrigin {
  const origin = bodyOrigins.find(name => name === variant)
  if (origin) return origin
  throw new RangeError(
    `study: variant must be one of ${bodyOrigins.join('; ')}, got ${variant} (cell ${index})`,
  )
}
