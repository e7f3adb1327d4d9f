import type { DatasetEntry } from '../data/datasets/dataset.js'
import type { DatasetRecipe, TrainingRecipe } from '../data/datasets/dataset-recipe.js'
import { datasets } from '../data/datasets/datasets.js'
import type { Gate } from '../layers/moe/gates.js'
import type { Normalizer } from '../layers/moe/two-layer-experts.js'
import type { WideResNetOptions } from './wide-resnet.js'

export type { TrainingRecipe } from '../data/datasets/dataset-recipe.js'

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

/** A model and how it is trained. */
export interface Recipe {
  readonly model: WideResNetRecipe | TwoLayerRecipe
  readonly training: TrainingRecipe
}

/** The networks that the command line trains, each as a function of the recipe of a dataset. */
const networks = {
  wrn: ({ wide }: DatasetRecipe): Recipe => ({ model: wideNetwork(wide), training: wide.training }),
  'wrn-pmoe': ({ wide }: DatasetRecipe): Recipe => ({
    model: { ...wideNetwork(wide), variant: 'sparse', pmoe: wide.mixture },
    training: wide.training,
  }),
  // A CNN is one expert that keeps all patches at gate 1.
  'two-layer': ({ twoLayer }: DatasetRecipe): Recipe => ({
    model: twoLayerNetwork(twoLayer, 1, twoLayer.patches, 'uniform'),
    training: twoLayer.training,
  }),
  'two-layer-pmoe': ({ twoLayer }: DatasetRecipe): Recipe => ({
    model: twoLayerNetwork(twoLayer, 8, twoLayer.patchesPerExpert, 'softmax-selected'),
    training: twoLayer.training,
  }),
} as const

/** The networks that the command line trains. */
export type ModelName = keyof typeof networks

/** Every model name, in the order in which help texts list them. */
export const modelNames = Object.keys(networks) as readonly ModelName[]

function wideNetwork({ widenFactor }: DatasetRecipe['wide']): WideResNetRecipe {
  // Runs this short leave a moving average of momentum 0.99 far behind the network.
  return { kind: 'wide-resnet', depth: 10, widenFactor, batchNormMomentum: 0.9 }
}

/** A two-layer model of 40 hidden units, eq. (1). */
function twoLayerNetwork(
  { patchSize, oneLogit = false }: DatasetRecipe['twoLayer'],
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
    oneLogit,
  }
}

/** The mixture that suits a dataset best. */
export function suggestedMixture({ recipe: { suggested } }: Pick<DatasetEntry, 'recipe'>): ModelName {
  return suggested === 'wide' ? 'wrn-pmoe' : 'two-layer-pmoe'
}

/**
 * The default settings for training a network further that was trained before: those of the dataset for a wide network,
 * with a tenth of the learning rate and ten epochs.
 *
 * @param table the datasets among which it is
 * @throws RangeError for a dataset that is not in the table
 */
export function fineTuningRecipe(dataset: string, table: readonly DatasetEntry[] = datasets): TrainingRecipe {
  const { training } = recipe(dataset, 'wrn', table)
  return { ...training, epochs: 10, learningRate: training.learningRate / 10 }
}

/**
 * The default settings for training a model on a dataset.
 *
 * @param dataset the name of one of the table
 * @param table the datasets among which it is
 * @returns options for `wideResNet` or `twoLayerPatchModel` (`model.kind` says which) and for training
 * @throws RangeError for a dataset that is not in the table, or a model without a recipe; the error lists the known
 *   names
 */
export function recipe(dataset: string, model: ModelName, table: readonly DatasetEntry[] = datasets): Recipe {
  const entry = table.find(({ name }) => name === dataset)
  if (!entry) {
    const names = table.map(({ name }) => name).join(', ')
    throw new RangeError(`recipe: dataset must be one of ${names}, got ${JSON.stringify(dataset)}`)
  }
  if (!Object.hasOwn(networks, model)) {
    throw new RangeError(
      `recipe: model must be one of ${modelNames.join(', ')}, got ${JSON.stringify(model)}`,
    )
  }
  return networks[model](entry.recipe)
}
