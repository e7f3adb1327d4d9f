import { describe, expect, it } from 'vitest'
import type { Flags, TrainingExperiment } from '../../scripts/experiments/experiment.js'
import { experimentNamed } from '../../scripts/experiments/experiments.js'
import { recipe } from '../../src/models/recipes.js'

/** The variants of an experiment as the paper ran them: their flags, by name. */
function paperVariants(name: string): { experiment: TrainingExperiment; flags: Record<string, Flags> } {
  const experiment = experimentNamed(name)
  if (experiment.kind !== 'training') throw new Error(`${name} trains nothing`)
  const { paperScale, variants } = experiment
  const named = (paperScale.variants ?? variants).map(variant => [
    variant.name,
    { ...paperScale.flags, ...variant.flags },
  ])
  return { experiment, flags: Object.fromEntries(named) }
}

describe("the experiments at the paper's scale", () => {
  // Training images, K, L and the patches of the last map: 16x16 of faces, 8x8 of objects. Figure 15 keeps 2.
  it.each([
    ['fig10', [2000, 10_000], [8, 2, 16]],
    ['fig11', [5000, 25_000], [8, 2, 16]],
    ['fig12', [4000, 16_000], [8, 2, 16]],
    ['fig14', [10_000, 50_000], [4, 16, 64]],
    ['fig15', [10_000, 50_000], [4, 2, 64]],
    ['fig16', [4000, 20_000], [4, 16, 64]],
  ])('divide the last map of %s as the paper says', (name, [fewest, most], mixture) => {
    const { experiment, flags } = paperVariants(name)
    const { samples, seeds } = experiment.paperScale
    expect([seeds, samples[0], samples.at(-1)]).toEqual([5, fewest, most])
    const { experts, patchesPerExpert, patchSize } = flags['WRN-pMoE'] as Record<string, number>
    const side = experiment.data.dataset.startsWith('celeba') ? 64 / 4 : 32 / 4
    expect([experts, patchesPerExpert, (side / (patchSize as number)) ** 2]).toEqual(mixture)
    expect(flags['WRN-pMoE']).toMatchObject({ variant: 'authors', gate: 'softmax-all' })
    expect(flags['WRN-pMoE']?.kernelSize).toBe(side === 16 ? 3 : 1)
  })

  it.each(['fig10', 'fig11', 'fig12', 'fig14', 'fig15', 'fig16'])(
    'train WRN-10-10 of %s by plain SGD 0.1, batch 128, 50 epochs, moving statistics of momentum 0.99',
    name => {
      const { experiment, flags } = paperVariants(name)
      for (const variant of [flags.WRN, flags['WRN-pMoE']]) {
        expect(variant).toMatchObject({
          widen: 10,
          epochs: 50,
          batchSize: 128,
          optimizer: 'sgd',
          lr: 0.1,
          bnStatistics: 'moving',
          bnMomentum: 0.99,
        })
      }
      expect(recipe(experiment.data.dataset, 'wrn').model).toMatchObject({ depth: 10 })
    },
  )

  it('give the two-layer models of figure 4 equal hidden units in 2x20, 8x5 and 1x40', () => {
    const { experiment, flags } = paperVariants('fig4')
    const { 'joint pMoE': joint, 'separate pMoE': separate, CNN: cnn } = flags
    for (const variant of [joint, separate, cnn]) {
      expect(variant).toMatchObject({ hiddenUnits: 40, optimizer: 'sgd', lr: 0.2, batchSize: 20 })
    }
    // Separate routers come one a class: two experts of the two classes.
    expect(separate).toMatchObject({ routerTraining: 'separate', patchesPerExpert: 2, routerEpochs: 100 })
    expect(joint).toMatchObject({ experts: 8, patchesPerExpert: 6, gate: 'softmax-selected' })
    const { model } = recipe(experiment.data.dataset, 'two-layer')
    expect(model).toMatchObject({ patchSize: 28, numExperts: 1, patchesPerExpert: 16, oneLogit: true })
    expect(experiment.untilNoError).toBe(true)
    expect([experiment.paperScale.samples[0], experiment.paperScale.samples.at(-1)]).toEqual([100, 1000])
  })
})
