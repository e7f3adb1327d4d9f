import * as z from 'zod'
import type { Scale, TrainingExperiment, Variant } from '../../experiments/experiment.js'
import type { CellSetting } from '../cell.js'
import type { GridKind } from './grid-kind.js'
import { flags, sweep, variants } from './variants.js'

/** Networks against training images, kept patches and experts. */
export interface TrainingGrid extends Omit<Scale, 'variants' | 'seeds'> {
  readonly kind: 'training'
  readonly variants: readonly Variant[]
}

/** Studies of training; variants are innermost. */
export const trainingGrid: GridKind<TrainingExperiment, TrainingGrid> = {
  schema: z.strictObject({
    kind: z.literal('training'),
    variants,
    samples: sweep,
    patchesPerExpert: sweep.exactOptional(),
    experts: sweep.exactOptional(),
    flags,
  }),
  gridOf(experiment, scale, withPaperData) {
    const chosen = withPaperData && scale === 'full' ? experiment.paperScale : experiment.scales[scale]
    const { seeds, variants: ofScale, ...rest } = chosen
    return { grid: { kind: 'training', variants: ofScale ?? experiment.variants, ...rest }, seeds }
  },
  settings({ variants: compared, samples, patchesPerExpert, experts }) {
    return samples.flatMap(images =>
      swept(patchesPerExpert).flatMap((l, i) =>
        swept(experts).flatMap((k, j) =>
          compared.flatMap((variant): CellSetting[] => {
            const cell = { variant: variant.name, samples: images }
            if (!variant.sweeps) return i === 0 && j === 0 ? [cell] : []
            return [
              {
                ...cell,
                ...(l !== undefined && { patchesPerExpert: l }),
                ...(k !== undefined && { experts: k }),
              },
            ]
          }),
        ),
      ),
    )
  },
  mostSettings({ samples, patchesPerExpert = [0], experts = [0], variants: compared }) {
    return samples.length * patchesPerExpert.length * experts.length * compared.length
  },
}

function swept(values: readonly number[] | undefined): readonly (number | undefined)[] {
  return values ?? [undefined]
}
