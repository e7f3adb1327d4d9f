import type { Gate } from '../layers/moe/gates.js'
import type { Normalizer } from '../layers/moe/two-layer-experts.js'
import type { ImageShape } from '../shapes.js'
import type { WideResNetOptions } from './wide-resnet.js'

/** The networks that the command line trains. */
export type ModelName = 'wrn' | 'wrn-pmoe' | 'two-layer' | 'two-layer-pmoe'

/** Every model name, in the order in which help texts list them. */
export const modelNames: readonly ModelName[] = ['wrn', 'wrn-pmoe', 'two-layer', 'two-layer-pmoe']

/** Options of `wideResNet` that a recipe fixes; the data give the rest. */
export interface WideResNetRecipe extends Omit<WideResNetOptions, 'inputShape' | 'numClasses' | 'seed'> {
  readonly kind: 'wide-resnet'
  readonly depth: number
  readonly widenFactor: number
  /** Two classes share one logit: build the model with `numClasses: 1`. */
  readonly oneLogit?: boolean
}

/** Options of `twoLayerPatchModel` that a recipe fixes; the data give the rest. */
export interface TwoLayerRecipe {
  readonly kind: 'two-layer'
  /** Side of a patch of the image, in pixels. */
  readonly patchSize: number
  readonly numExperts: number
  readonly patchesPerExpert: number
  /** Hidden units m of all experts together. */
  readonly hiddenUnits: number
  readonly gate: Gate
  /**
   * Divides the experts' sum by the kept patches l, as the paper's eq. (1), or by all n, as its published
   * code.
   */
  readonly normalizer: Normalizer
  /** Two classes share one logit: build the model with `numClasses: 1`. */
  readonly oneLogit?: boolean
}

/** How a model is trained. */
export interface TrainingRecipe {
  /** Training images. */
  readonly samples: number
  readonly epochs: number
  /** Images a step. */
  readonly batchSize: number
  readonly optimizer: 'sgd' | 'momentum' | 'adam'
  readonly learningRate: number
  /** Share of the previous update that optimizer 'momentum' keeps, in [0, 1). */
  readonly momentum?: number
  /**
   * Whether BatchNorm's population statistics are estimated anew before an evaluation, or its moving
   * averages used.
   */
  readonly bnStatistics: 'recomputed' | 'moving'
}

/** A model and how it is trained. */
export interface Recipe {
  readonly model: WideResNetRecipe | TwoLayerRecipe
  readonly training: TrainingRecipe
}

/** Settings of one model in one experiment of the paper; `samples` spans what its figure shows. */
export interface PaperRecipe {
  readonly model: WideResNetRecipe | TwoLayerRecipe
  readonly training: Omit<TrainingRecipe, 'samples'> & {
    /** Training ends earlier, when no training sample is misclassified. */
    readonly untilZeroTrainingError?: boolean
    /**
     * Separate training (Algorithm 1): epochs in which the routers alone are trained, by eq. (6), before
     * they are frozen.
     */
    readonly routerEpochs?: number
  }
}

/** One experiment of the paper. */
export interface PaperExperiment {
  readonly title: string
  readonly inputShape: ImageShape
  readonly classes: number
  /** Fewest and most training images of the figure. */
  readonly samples: readonly [fewest: number, most: number]
  /** Independent runs whose accuracies are averaged. */
  readonly runs: number
  readonly models: Readonly<Record<string, PaperRecipe>>
}

// Section 5.2 and appendix A: WRN-10-10, plain SGD.
const paperWideTraining = {
  epochs: 50,
  batchSize: 128,
  optimizer: 'sgd',
  learningRate: 0.1,
  bnStatistics: 'moving',
} as const

// Section 5.1: SGD until zero training error; the CNN is the slowest, at 150 epochs.
const paperTwoLayerTraining = {
  epochs: 150,
  batchSize: 20,
  optimizer: 'sgd',
  learningRate: 0.2,
  bnStatistics: 'moving',
  untilZeroTrainingError: true,
} as const

const paperDense = {
  kind: 'wide-resnet',
  depth: 10,
  widenFactor: 10,
  batchNormMomentum: 0.99,
} as const

// The published code's network of figures 10 to 12: a 16x16x640 map in 16 patches, experts of 80 filters.
const paperFaces = {
  ...paperDense,
  variant: 'authors',
  pmoe: { numExperts: 8, patchesPerExpert: 2, patchSize: 4, kernelSize: 3, gate: 'softmax-all' },
} as const

// The published code's network of figures 14 to 16: an 8x8x640 map in 64 patches, experts of 160 filters.
const paperObjects = {
  ...paperDense,
  variant: 'authors',
  pmoe: { numExperts: 4, patchesPerExpert: 16, patchSize: 1, kernelSize: 1, gate: 'softmax-all' },
} as const

/**
 * The experiments of the paper (Chowdhury et al., ICML 2023, sections 5.1, 5.2 and appendix A), by figure.
 *
 * Where the published code fixes what the text leaves open, the code counts: the wide networks are its masked
 * ones.
 */
export const paperExperiments = {
  fig4: {
    title: 'MNIST patches: a 1 or a 0 among fifteen other digits',
    inputShape: [112, 112, 1],
    classes: 2,
    samples: [100, 1000],
    runs: 5,
    models: {
      separate: {
        model: { ...twoLayer(28, 2, 2, 'uniform'), oneLogit: true },
        training: { ...paperTwoLayerTraining, routerEpochs: 100 },
      },
      joint: {
        model: { ...twoLayer(28, 8, 6, 'softmax-selected'), oneLogit: true },
        training: paperTwoLayerTraining,
      },
      cnn: { model: { ...twoLayer(28, 1, 16, 'uniform'), oneLogit: true }, training: paperTwoLayerTraining },
    },
  },
  fig10: {
    title: 'CelebA: Smiling',
    inputShape: [64, 64, 3],
    classes: 2,
    samples: [2000, 10000],
    runs: 5,
    models: {
      wrn: { model: { ...paperDense, oneLogit: true }, training: paperWideTraining },
      'wrn-pmoe': { model: { ...paperFaces, oneLogit: true }, training: paperWideTraining },
    },
  },
  fig11: {
    title: 'CelebA: Smiling, where the hair colour agrees with it in 95 % of the training images',
    inputShape: [64, 64, 3],
    classes: 2,
    samples: [5000, 25000],
    runs: 5,
    models: {
      wrn: { model: { ...paperDense, oneLogit: true }, training: paperWideTraining },
      'wrn-pmoe': { model: { ...paperFaces, oneLogit: true }, training: paperWideTraining },
    },
  },
  fig12: {
    title: 'CelebA: Smiling x Eyeglasses',
    inputShape: [64, 64, 3],
    classes: 4,
    samples: [4000, 16000],
    runs: 5,
    models: {
      wrn: { model: paperDense, training: paperWideTraining },
      'wrn-pmoe': { model: paperFaces, training: paperWideTraining },
    },
  },
  fig14: objects('CIFAR-10', 10, [10000, 50000]),
  fig15: objects('CIFAR-10 at half size on backgrounds of plants', 10, [10000, 50000]),
  fig16: objects('CIFAR-Vehicles: one vehicle among three animals', 4, [4000, 20000]),
} as const satisfies Readonly<Record<string, PaperExperiment>>

function objects(title: string, classes: number, samples: readonly [number, number]): PaperExperiment {
  return {
    title,
    inputShape: [32, 32, 3],
    classes,
    samples,
    runs: 5,
    models: {
      wrn: { model: paperDense, training: paperWideTraining },
      'wrn-pmoe': { model: paperObjects, training: paperWideTraining },
    },
  }
}

/** A two-layer model of 40 hidden units, eq. (1). */
function twoLayer(
  patchSize: number,
  numExperts: number,
  patchesPerExpert: number,
  gate: Gate,
): TwoLayerRecipe {
  return {
    kind: 'two-layer',
    patchSize,
    numExperts,
    patchesPerExpert,
    hiddenUnits: 40,
    gate,
    normalizer: 'selected',
  }
}

/** Four experts, each keeping 16 of the 64 positions of the last 8x8 map of a 32x32 image. */
const positionExperts = { numExperts: 4, patchesPerExpert: 16, patchSize: 1, kernelSize: 1 } as const

/** As many experts and patches as in the paper's figures 10 to 12: 2 of the 16 patches of a 64x64 image's last map. */
const faceExperts = { numExperts: 8, patchesPerExpert: 2, patchSize: 4, kernelSize: 3 } as const

/** The dense network and its sparse pMoE. */
function wideRecipes(
  widenFactor: number,
  training: TrainingRecipe,
  pmoe: NonNullable<WideResNetRecipe['pmoe']> = positionExperts,
): Readonly<Record<'wrn' | 'wrn-pmoe', Recipe>> {
  // Runs this short leave a moving average of momentum 0.99 far behind the network.
  const dense = { kind: 'wide-resnet', depth: 10, widenFactor, batchNormMomentum: 0.9 } as const
  return {
    wrn: { model: dense, training },
    'wrn-pmoe': { model: { ...dense, variant: 'sparse', pmoe }, training },
  }
}

function twoLayerRecipes(
  patchSize: number,
  patches: number,
  patchesPerExpert: number,
  training: TrainingRecipe,
  oneLogit = false,
): Readonly<Record<'two-layer' | 'two-layer-pmoe', Recipe>> {
  return {
    'two-layer': { model: { ...twoLayer(patchSize, 1, patches, 'uniform'), oneLogit }, training },
    'two-layer-pmoe': {
      model: { ...twoLayer(patchSize, 8, patchesPerExpert, 'softmax-selected'), oneLogit },
      training,
    },
  }
}

function sgd(samples: number, epochs: number, batchSize: number, learningRate: number): TrainingRecipe {
  return { samples, epochs, batchSize, optimizer: 'sgd', learningRate, bnStatistics: 'recomputed' }
}

/** A person's own images: as many as there are, whose difficulty nobody knows, so that momentum helps. */
const ownImages: TrainingRecipe = { ...sgd(1_000_000, 30, 32, 0.02), optimizer: 'momentum', momentum: 0.9 }

/** What each dataset of the project is trained with, sized for two cores. */
const recipes: Readonly<Record<string, Readonly<Record<ModelName, Recipe>>>> = {
  'digits-patches': {
    ...wideRecipes(1, sgd(500, 15, 32, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(500, 100, 20, 0.2), true),
  },
  'fashion-quadrants': {
    ...wideRecipes(1, sgd(1000, 30, 32, 0.1)),
    ...twoLayerRecipes(16, 4, 2, sgd(1000, 25, 20, 0.2)),
  },
  'fashion-noise': {
    ...wideRecipes(1, sgd(1000, 30, 32, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(1000, 25, 20, 0.2)),
  },
  'fashion-mnist': {
    ...wideRecipes(1, sgd(2000, 30, 32, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(2000, 25, 20, 0.2)),
  },
  'theory-patches': {
    ...wideRecipes(1, sgd(500, 15, 32, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(500, 100, 20, 0.2), true),
  },
  cifar10: {
    ...wideRecipes(2, sgd(10000, 30, 64, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(10000, 25, 20, 0.05)),
  },
  'cifar10-noise': {
    ...wideRecipes(2, sgd(10000, 30, 64, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(10000, 25, 20, 0.05)),
  },
  'cifar-vehicles': {
    ...wideRecipes(2, sgd(4000, 30, 64, 0.1)),
    ...twoLayerRecipes(16, 4, 2, sgd(4000, 25, 20, 0.05)),
  },
  cifar100: {
    ...wideRecipes(2, sgd(20000, 30, 64, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(20000, 25, 20, 0.05)),
  },
  'cifar100-coarse': {
    ...wideRecipes(2, sgd(20000, 30, 64, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(20000, 25, 20, 0.05)),
  },
  'mnist-patches': {
    ...wideRecipes(1, sgd(500, 15, 32, 0.1)),
    ...twoLayerRecipes(28, 16, 6, sgd(500, 100, 20, 0.2), true),
  },
  'celeba-smiling': {
    ...wideRecipes(2, sgd(4000, 30, 64, 0.1), faceExperts),
    ...twoLayerRecipes(16, 16, 6, sgd(4000, 25, 20, 0.05), true),
  },
  'celeba-spurious': {
    ...wideRecipes(2, sgd(5000, 30, 64, 0.1), faceExperts),
    ...twoLayerRecipes(16, 16, 6, sgd(5000, 25, 20, 0.05), true),
  },
  'celeba-multiclass': {
    ...wideRecipes(2, sgd(4000, 30, 64, 0.1), faceExperts),
    ...twoLayerRecipes(16, 16, 6, sgd(4000, 25, 20, 0.05)),
  },
  // CIFAR-10 or CelebA, whichever the folder holds.
  tfds: {
    ...wideRecipes(2, sgd(10000, 30, 64, 0.1)),
    ...twoLayerRecipes(8, 16, 6, sgd(10000, 25, 20, 0.05)),
  },
  'image-folder': {
    ...wideRecipes(2, ownImages, { ...positionExperts, patchesPerExpert: 64 }),
    ...twoLayerRecipes(8, 64, 16, { ...ownImages, batchSize: 20 }),
  },
}

/**
 * The settings that train a network further that somebody has trained already, unless the user says otherwise: the
 * dataset's for a wide network, with a tenth of the learning rate and ten epochs.
 *
 * @throws RangeError for a dataset without a recipe
 */
export function fineTuningRecipe(dataset: string): TrainingRecipe {
  const { training } = recipe(dataset, 'wrn')
  return { ...training, epochs: 10, learningRate: training.learningRate / 10 }
}

/**
 * The settings that train a model on a dataset unless the user says otherwise.
 *
 * @param dataset the name of one of `datasets`
 * @returns options for `wideResNet` or `twoLayerPatchModel` (`model.kind` says which) and for training
 * @throws RangeError for a dataset or a model without a recipe; the error lists the known names
 */
export function recipe(dataset: string, model: ModelName): Recipe {
  const ofDataset = Object.hasOwn(recipes, dataset) ? recipes[dataset] : undefined
  if (!ofDataset) {
    throw new RangeError(
      `recipe: dataset must be one of ${Object.keys(recipes).join(', ')}, got ${JSON.stringify(dataset)}`,
    )
  }
  const found = Object.hasOwn(ofDataset, model) ? ofDataset[model] : undefined
  if (!found) {
    throw new RangeError(
      `recipe: model must be one of ${modelNames.join(', ')}, got ${JSON.stringify(model)}`,
    )
  }
  return found
}
