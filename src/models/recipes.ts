import type { DatasetEntry } from '../data/datasets/dataset.js'
import type {
  DatasetRecipe,
  NetworkKind,
  TrainingRecipe,
  TwoLayerNetworkRecipe,
  WideNetworkRecipe,
} from '../data/datasets/dataset-recipe.js'
import { datasets } from '../data/datasets/datasets.js'
import type { BankActivation } from '../layers/moe/filter-banks.js'
import type { Gate } from '../layers/moe/gates.js'
import type { SampleGate } from '../layers/moe/sample-routing.js'
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

/** Options of `sampleMoEModel` that a recipe fixes; the data give the rest. */
export interface SampleMoERecipe {
  readonly kind: 'sample-moe'
  /** Side of a patch of the sample, in its positions. */
  readonly patchSize: number
  readonly numExperts: number
  readonly filtersPerOutput: number
  readonly activation: BankActivation
  readonly gate: SampleGate
  /** Initial weights are uniform up to this over the square root of the numbers in a patch. */
  readonly initialScale: number
}

/** Options of `sampleExpertsModel` that a recipe fixes; the data give the rest. */
export interface SampleNetworksRecipe {
  readonly kind: 'sample-networks'
  /** Side of the router's patches of the image, in pixels. */
  readonly patchSize: number
  readonly numExperts: number
  /** Filters of the first convolution of an expert. */
  readonly filters: number
  readonly gate: SampleGate
}

/** Options of `routedModel` that a recipe fixes; the data give the rest. */
export interface RoutedRecipe {
  readonly kind: 'routed'
  readonly cellSize: number
  readonly viewScale: number
  readonly margin?: number
  readonly expertPixels?: 'centred'
  readonly numExperts: number
  readonly patchesPerExpert: number
}

/** A model and how it is trained. */
export interface Recipe {
  readonly model: WideResNetRecipe | TwoLayerRecipe | SampleMoERecipe | SampleNetworksRecipe | RoutedRecipe
  readonly training: TrainingRecipe
}

/** A network that the command line trains, as a function of what the recipe of a dataset says of its kind. */
interface Network {
  readonly kind: NetworkKind
  /** Undefined where the dataset does not suit the network. */
  recipe(dataset: DatasetRecipe): Recipe | undefined
}

function network<Kind extends NetworkKind>(
  kind: Kind,
  recipeOf: (of: NonNullable<DatasetRecipe[Kind]>) => Recipe,
): Network {
  return {
    kind,
    recipe: dataset => {
      const of = dataset[kind]
      return of && recipeOf(of)
    },
  }
}

const networks = {
  wrn: network('wide', wide => ({ model: wideNetwork(wide), training: wide.training })),
  'wrn-pmoe': network('wide', wide => ({
    model: { ...wideNetwork(wide), variant: 'sparse', pmoe: wide.mixture },
    training: wide.training,
  })),
  // A CNN is one expert that keeps all patches at gate 1.
  'two-layer': network('twoLayer', twoLayer => ({
    model: twoLayerNetwork(twoLayer, 1, twoLayer.patches, 'uniform'),
    training: twoLayer.training,
  })),
  'two-layer-pmoe': network('twoLayer', twoLayer => ({
    model: twoLayerNetwork(twoLayer, 8, twoLayer.patchesPerExpert, 'softmax-selected'),
    training: twoLayer.training,
  })),
  'sample-moe': network('sample', ({ patchSize, mixture: { training, ...mixture } }) => ({
    model: { kind: 'sample-moe', patchSize, ...mixture, activation: 'cubic', gate: 'softmax' },
    training,
  })),
  // A single network is one expert that every sample chooses at gate 1.
  'sample-single': network('sample', ({ patchSize, single: { training, ...single } }) => ({
    model: { kind: 'sample-moe', patchSize, numExperts: 1, ...single, activation: 'cubic', gate: 'uniform' },
    training,
  })),
  'sample-networks': network('wide', ({ training }) => ({
    model: {
      kind: 'sample-networks',
      patchSize: 4,
      numExperts: 4,
      filters: 8,
      gate: 'softmax',
    },
    training: publishedSampleTraining(training),
  })),
  // Sizes that the dataset leaves open are decided when its images are known.
  routed: network('routed', ({ training, cellSize = 64, viewScale = 8, ...others }) => ({
    model: { kind: 'routed', cellSize, viewScale, ...others, numExperts: 1, patchesPerExpert: 10 },
    training,
  })),
} as const satisfies Readonly<Record<string, Network>>

/**
 * The published training of networks that samples choose (Chen et al., NeurIPS 2022, on images), in batches and for as long
 * as suits a machine of two cores: normalised gradients for the experts, plain ones at a small rate for the router.
 */
function publishedSampleTraining({ samples, epochs }: TrainingRecipe): TrainingRecipe {
  return {
    samples,
    epochs,
    batchSize: 32,
    optimizer: 'normalized-gd',
    learningRate: 1e-2,
    momentum: 0.9,
    layerRates: [{ pattern: 'experts/router*', learningRate: 1e-4 }],
    l2: 5e-4,
    loadBalance: 1e-2,
    bnStatistics: 'moving',
  }
}

/** The mixture of each kind of networks. */
const mixtures = {
  wide: 'wrn-pmoe',
  twoLayer: 'two-layer-pmoe',
  sample: 'sample-moe',
  routed: 'routed',
} as const satisfies Readonly<Record<NetworkKind, keyof typeof networks>>

/** The networks that the command line trains. */
export type ModelName = keyof typeof networks

/** Every model name, in the order in which help texts list them. */
export const modelNames = Object.keys(networks) as readonly ModelName[]

function wideNetwork({ widenFactor }: WideNetworkRecipe): WideResNetRecipe {
  // Runs this short leave a moving average of momentum 0.99 far behind the network.
  return { kind: 'wide-resnet', depth: 10, widenFactor, batchNormMomentum: 0.9 }
}

/** A two-layer model of 40 hidden units, eq. (1). */
function twoLayerNetwork(
  { patchSize, oneLogit = false }: TwoLayerNetworkRecipe,
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
  return mixtures[suggested]
}

/** The networks that suit a dataset. */
export function modelsFor({ recipe: dataset }: Pick<DatasetEntry, 'recipe'>): readonly ModelName[] {
  return modelNames.filter(name => networks[name].recipe(dataset) !== undefined)
}

/**
 * The default settings for training a network further that was trained before: those of the dataset for a wide network,
 * or else for the one suggested for it, with a tenth of the learning rate and ten epochs.
 *
 * @param table the datasets among which it is
 * @throws RangeError for a dataset that is not in the table
 */
export function fineTuningRecipe(dataset: string, table: readonly DatasetEntry[] = datasets): TrainingRecipe {
  const entry = recipeEntry(dataset, table)
  const suggested = recipe(dataset, entry.recipe.wide ? 'wrn' : suggestedMixture(entry), table)
  // Its layers may have other names.
  const { layerRates: _, ...training } = suggested.training
  return { ...training, epochs: 10, learningRate: training.learningRate / 10 }
}

/**
 * The default settings for training a model on a dataset.
 *
 * @param dataset the name of one of the table
 * @param table the datasets among which it is
 * @returns options for `wideResNet`, `twoLayerPatchModel`, `sampleMoEModel`, `sampleExpertsModel` or `routedModel` (`model.kind` says which)
 *   and for training
 * @throws RangeError for a dataset that is not in the table, or a model without a recipe or that does not suit the
 *   dataset; the error lists the known names, or those that suit
 */
export function recipe(dataset: string, model: ModelName, table: readonly DatasetEntry[] = datasets): Recipe {
  const entry = recipeEntry(dataset, table)
  if (!Object.hasOwn(networks, model)) {
    throw new RangeError(
      `recipe: model must be one of ${modelNames.join(', ')}, got ${JSON.stringify(model)}`,
    )
  }
  const suited = networks[model].recipe(entry.recipe)
  if (suited) return suited
  const others = table.filter(other => networks[model].recipe(other.recipe)).map(({ name }) => name)
  throw new RangeError(
    `recipe: model must be one of ${modelsFor(entry).join(', ')} for dataset ${dataset}, got ${model} ` +
      `(which is for ${others.join(', ')})`,
  )
}

function recipeEntry(dataset: string, table: readonly DatasetEntry[]): DatasetEntry {
  const entry = table.find(({ name }) => name === dataset)
  if (entry) return entry
  const names = table.map(({ name }) => name).join(', ')
  throw new RangeError(`recipe: dataset must be one of ${names}, got ${JSON.stringify(dataset)}`)
}
