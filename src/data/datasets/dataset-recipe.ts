/**
 * What suits a dataset, as plain data: which networks, how large, and how they are trained. `models/recipes` turns it
 * into the options of a network.
 */

/** The networks and the training that suit a dataset, sized for two cores; it has those that are stated, at least one. */
export interface DatasetRecipe {
  /** The network whose mixture commands suggest for it; stated below. */
  readonly suggested: NetworkKind
  /** Wide residual networks on it. */
  readonly wide?: WideNetworkRecipe
  /** Two-layer patch models on it. */
  readonly twoLayer?: TwoLayerNetworkRecipe
  /** Networks of which each sample chooses an expert. */
  readonly sample?: SampleNetworkRecipe
  /** Networks that read large images in parts; for datasets that have such. */
  readonly routed?: RoutedNetworkRecipe
}

/** The kinds of networks that suit some datasets and others not. */
export type NetworkKind = 'wide' | 'twoLayer' | 'sample' | 'routed'

/** A wide residual network for a dataset, and its mixture. */
export interface WideNetworkRecipe {
  readonly widenFactor: number
  readonly mixture: WideMixtureRecipe
  readonly training: TrainingRecipe
}

/** The mixture in the last stage of a wide residual network. */
export interface WideMixtureRecipe {
  /** K */
  readonly numExperts: number
  /** L */
  readonly patchesPerExpert: number
  /** Side of a patch of the last map, in its positions. */
  readonly patchSize: number
  /** Side of the experts' kernels. */
  readonly kernelSize: number
}

/** A two-layer patch model for a dataset: its mixture has eight experts. */
export interface TwoLayerNetworkRecipe {
  /** Side of a patch of the image, in pixels. */
  readonly patchSize: number
  /** N: the patches of an image, all of which the CNN keeps. */
  readonly patches: number
  /** L: what each expert of the mixture keeps. */
  readonly patchesPerExpert: number
  /** Whether its two classes share one logit; false unless given. */
  readonly oneLogit?: boolean
  readonly training: TrainingRecipe
}

/** Filters over the patches of a sample, whose outputs are summed: a mixture of experts, and one network. */
export interface SampleNetworkRecipe {
  /** Side of a patch, in positions of the sample. */
  readonly patchSize: number
  readonly mixture: SampleFiltersRecipe & {
    /** M */
    readonly numExperts: number
  }
  readonly single: SampleFiltersRecipe
}

/** The filters of a mixture's expert, or of one network. */
export interface SampleFiltersRecipe {
  /** J, filters of each class. */
  readonly filtersPerOutput: number
  /** Initial weights are uniform up to this over the square root of the numbers in a patch. */
  readonly initialScale: number
  readonly training: TrainingRecipe
}

/** A network that reads only the patches that matter of a large image. */
export interface RoutedNetworkRecipe {
  /** Side of a cell in pixels: about that of the things that count; where it is left out, the size of the images decides. */
  readonly cellSize?: number
  /** How many times smaller the view is in which cells are chosen; with `cellSize`. */
  readonly viewScale?: number
  /** Pixels of a patch on each side of its cell; a quarter of a cell unless given. */
  readonly margin?: number
  /** How experts take pixels; from 0 to 1 unless given. */
  readonly expertPixels?: 'centred'
  readonly training: TrainingRecipe
}

/** How a model is trained. */
export interface TrainingRecipe {
  /** Training images. */
  readonly samples: number
  /** Whether each step takes all training images, however many are asked for. */
  readonly fullBatch?: boolean
  readonly epochs: number
  /** Images a step. */
  readonly batchSize: number
  readonly optimizer: 'sgd' | 'momentum' | 'adam' | 'adamw' | 'normalized-gd'
  readonly learningRate: number
  /** Share of the previous update that optimizer 'momentum' keeps, in [0, 1). */
  readonly momentum?: number
  /** Learning rates of some layers, or of some weights of layers: `logits/router`. */
  readonly layerRates?: readonly { readonly pattern: string; readonly learningRate: number }[]
  /** L2 penalty, times the weights added to their gradients. */
  readonly l2?: number
  /** How the learning rate changes in training: `cosine` from all of it to almost 0. */
  readonly schedule?: 'constant' | 'cosine'
  /** The greatest norm of all gradients together. */
  readonly clipNorm?: number
  /** Coefficient of the balance loss of experts that samples choose. */
  readonly loadBalance?: number
  /**
   * Whether BatchNorm's population statistics are estimated anew before an evaluation, or its moving
   * averages used.
   */
  readonly bnStatistics: 'recomputed' | 'moving'
}

/** Plain SGD, BatchNorm's statistics estimated anew. */
export function sgd(
  samples: number,
  epochs: number,
  batchSize: number,
  learningRate: number,
): TrainingRecipe {
  return { samples, epochs, batchSize, optimizer: 'sgd', learningRate, bnStatistics: 'recomputed' }
}

/** Adam with a rate that falls in a cosine, and gradients of norm 1 at most: for networks that learn where to look. */
export function cosineAdam(samples: number, epochs: number): TrainingRecipe {
  return {
    samples,
    epochs,
    batchSize: 32,
    optimizer: 'adam',
    learningRate: 3e-3,
    schedule: 'cosine',
    clipNorm: 1,
    bnStatistics: 'moving',
  }
}

/** Four experts, each keeping 16 of the 64 positions of the last 8x8 map of a 32x32 image. */
export const positionExperts: WideMixtureRecipe = {
  numExperts: 4,
  patchesPerExpert: 16,
  patchSize: 1,
  kernelSize: 1,
}

/** As many experts and patches as in the paper's figures 10 to 12: 2 of the 16 patches of a 64x64 image's last map. */
export const faceExperts: WideMixtureRecipe = {
  numExperts: 8,
  patchesPerExpert: 2,
  patchSize: 4,
  kernelSize: 3,
}
