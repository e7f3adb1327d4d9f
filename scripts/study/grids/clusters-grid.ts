import * as z from 'zod'
import type { ClustersExperiment, ClustersScale, ClustersVariant } from '../../experiments/experiment.js'
import type { GridKind } from './grid-kind.js'
import { count, flags, variants } from './variants.js'

/** Networks against the settings of a data model of clusters. */
export interface ClustersGrid extends Omit<ClustersScale, 'seeds' | 'variants'> {
  readonly kind: 'clusters'
  readonly variants: readonly Pick<ClustersVariant, 'name' | 'model' | 'flags' | 'settings'>[]
}

/** Studies of clusters; variants are innermost. */
export const clustersGrid: GridKind<ClustersExperiment, ClustersGrid> = {
  schema: z.strictObject({
    kind: z.literal('clusters'),
    settings: z.array(z.string().min(1)).min(1),
    samples: count,
    testSamples: count,
    entropySteps: count,
    variants,
    flags,
  }),
  gridOf({ scales, variants: all }, scale) {
    const { seeds, variants: names, ...rest } = scales[scale]
    const compared = names ? all.filter(({ name }) => names.includes(name)) : all
    return {
      grid: {
        kind: 'clusters',
        ...rest,
        variants: compared.map(({ published: _, bands: __, ...variant }) => variant),
      },
      seeds,
    }
  },
  settings({ settings, variants: compared }) {
    return settings.flatMap(setting =>
      compared
        .filter(variant => variant.settings?.includes(setting) ?? true)
        .map(({ name }) => ({ setting, variant: name })),
    )
  },
  mostSettings: ({ settings, variants: compared }) => settings.length * compared.length,
}
