import type { Flags, TrainingExperiment, Variant } from './experiment.js'
import { dense, mixture, narrow, objectData, paperObjects } from './wide.js'

/** The mixture with some of its settings changed. */
function changed(name: string, flags: Flags, more: Partial<Variant> = {}): Variant {
  return { ...mixture, ...more, name, flags: { ...mixture.flags, ...flags } }
}

const flags = { ...narrow, testSamples: 1000 }

/** Every setting of the mixture against its default, on quadrants. */
export const ablation: TrainingExperiment = {
  kind: 'training',
  name: 'ablation',
  title: 'Which settings of the mixture matter',
  paper:
    'No figure of the paper: one setting at a time, against the default, the dense network and the published one',
  claim: 'The defaults of this package are as good as any other setting.',
  data: objectData(
    'cifar-vehicles',
    'fashion-quadrants',
    'an accessory of Fashion-MNIST in one quadrant, one of four classes, clothes in the other three.',
  ),
  variants: [
    { ...mixture, name: 'default' },
    { ...dense, name: 'dense WRN' },
    { ...paperObjects, name: 'variant authors, softmax-all' },
    changed('variant drop-in', { variant: 'drop-in' }),
    changed('kernel 3x3', { kernelSize: 3 }),
    changed('kernel 3x3, halo', { kernelSize: 3, border: 'halo' }),
    changed('gate softmax-all', { gate: 'softmax-all' }),
    changed('gate uniform', { gate: 'uniform' }),
    changed('gate scale none', { gateScale: 'none' }),
    changed('pre-activation relu', {}, { mixture: { preActivation: 'relu' } }),
    changed('pre-activation none', {}, { mixture: { preActivation: 'none' } }),
    changed('routers frozen', {}, { mixture: { routerTrainable: false } }),
    changed('router init 1e-2', {}, { routerDeviation: 1e-2 }),
    changed('router init 1', {}, { routerDeviation: 1 }),
    changed('2 experts', { experts: 2 }),
    changed('8 experts', { experts: 8 }),
    changed('8 patches', { patchesPerExpert: 8 }),
    changed('32 patches', { patchesPerExpert: 32 }),
    changed('learning rate 0.05', { lr: 0.05 }),
    changed('learning rate 0.2', { lr: 0.2 }),
  ],
  scales: {
    full: { seeds: 5, samples: [500], flags },
    small: { seeds: 2, samples: [100], flags: { ...flags, epochs: 3, testSamples: 300 } },
  },
  paperScale: { seeds: 5, samples: [4000], flags },
  figure: { kind: 'bars' },
}
