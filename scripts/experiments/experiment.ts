import type { ModelName } from '../../src/models/recipes.js'
import type { PhotographPruning, PruningScale } from './pruning-scale.js'
import type { TransferExperiment } from './transfer-experiment.js'

/** Flags of `pmoe train`, by commander's camel-case names. */
export type Flags = Readonly<Record<string, unknown>>

/** One of the networks, or settings of one, that an experiment compares. */
export interface Variant {
  /** What figures and tables call it; different for each variant of an experiment. */
  readonly name: string
  readonly model: ModelName
  /** Flags in which it differs from the recipe of the dataset and the model. */
  readonly flags: Flags
  /** Options of the mixture that have no flag. */
  readonly mixture?: {
    readonly preActivation?: 'none' | 'relu' | 'batch-norm-relu'
    readonly routerTrainable?: boolean
  }
  /** Standard deviation of the routers' initial weights, above 0; 1e-4 unless given. */
  readonly routerDeviation?: number
  /** Whether the sweeps over experts or kept patches change it; otherwise it is run once for all of them. */
  readonly sweeps?: boolean
  /** The paper's own numbers; shares in [0, 1]. */
  readonly published?: readonly { readonly samples: number; readonly accuracy: number }[]
}

/** How large an experiment is. */
export interface Scale {
  /** Independent repetitions: each draws its own images, initial weights and order. */
  readonly seeds: number
  /** Training images. */
  readonly samples: readonly number[]
  /** L, where it is swept over. */
  readonly patchesPerExpert?: readonly number[]
  /** K, where it is swept over. */
  readonly experts?: readonly number[]
  /** What all variants have in common at this scale. */
  readonly flags: Flags
  /** Variants at this scale, where they differ from those of the experiment. */
  readonly variants?: readonly Variant[]
}

/** The scales by their names on the command line. */
export const scaleNames = ['full', 'small'] as const
export type ScaleName = (typeof scaleNames)[number]

/** What an experiment is trained on. */
export interface ExperimentData {
  /** The paper's own dataset, trained on where `--data` is given. */
  readonly dataset: string
  /** What to fetch for it; a sentence. */
  readonly fetch: string
  readonly standIn: StandIn
}

/** What is trained on without the paper's own data. */
export interface StandIn {
  readonly dataset: string
  /** What the images are and how they differ from the paper's; a sentence. */
  readonly sentence: string
  /** How to get its files where the package ships none, as a sentence; `--stand-in` names their folder. */
  readonly folder?: string
}

/** What a figure shows. */
export type Figure =
  | {
      /** A measure against the number of training images, and how many of these reach `target`. */
      readonly kind: 'curve'
      readonly measure: Measure
      readonly target: number
      /** The paper's numbers for lines that are no variants; shares in [0, 1]. */
      readonly published?: Readonly<Record<string, readonly { samples: number; accuracy: number }[]>>
    }
  | {
      /** The accuracy against L or K; error = factor x^exponent is fitted from x = `from` on. */
      readonly kind: 'sweep'
      readonly over: 'patchesPerExpert' | 'experts'
      readonly from: number
      /** The exponent that the theory predicts. */
      readonly exponent: number
    }
  | {
      /** The share of trials, for each L and number of images, whose accuracy is at least `target`. */
      readonly kind: 'phase'
      readonly target: number
    }
  | {
      /** Bars of the paired difference to the first variant. */
      readonly kind: 'bars'
    }

/** What a curve shows of a run. */
export type Measure =
  /** Share of the test images that are right. */
  | { readonly of: 'accuracy' }
  /** The accuracy over the group where it is lowest. */
  | { readonly of: 'worst-group' }
  /** Share of the test images whose true patch is among the r that the router of its class ranks highest. */
  | { readonly of: 'own-recall'; readonly ranks: readonly number[] }
  /** For each class the share of images whose true patch is the best one of the class's best expert. */
  | { readonly of: 'largest-gate' }

/** A figure or table of the paper as data: what is trained, on what, how often, and what is shown of it. */
export interface TrainingExperiment {
  readonly kind: 'training'
  readonly name: string
  readonly title: string
  /** Which part of the paper it repeats. */
  readonly paper: string
  /** The paper's claim that it checks. */
  readonly claim: string
  readonly data: ExperimentData
  /** The baseline first. */
  readonly variants: readonly Variant[]
  readonly scales: Readonly<Record<ScaleName, Scale>>
  /** The paper's own settings, for `full` with the paper's own data. */
  readonly paperScale: Scale
  /** A two-layer model is trained until an epoch has no error, as in the paper's section 5.1. */
  readonly untilNoError?: boolean
  /** Lists what the experts of each variant keep. */
  readonly showsExperts?: boolean
  /** Lists when training had converged, as the paper's Table 2. */
  readonly convergence?: ConvergenceTable
  readonly figure: Figure
}

/** The paper's seconds until convergence, for each variant. */
export type ConvergenceTable = Readonly<
  Record<string, readonly { readonly samples: number; readonly seconds: number }[]>
>

/** One axis along which the cost of a layer is measured, the others at their base. */
export interface CostAxis {
  readonly letter: 'l' | 'k' | 'n'
  readonly values: readonly number[]
}

/** Table 1: the time of a forward and backward pass of the two-layer model against l, k and n. */
export interface CostExperiment {
  readonly kind: 'cost'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  readonly scales: Readonly<
    Record<ScaleName, { readonly seeds: number; readonly axes: readonly CostAxis[] } & CostSizes>
  >
}

/** The sizes at the base of a cost experiment. */
export interface CostSizes {
  /** B, images a pass. */
  readonly batch: number
  /** Side of a patch in pixels: d = side^2. */
  readonly patchSide: number
  /** m, hidden units of all experts together; divisible by every k. */
  readonly hiddenUnits: number
  readonly base: { readonly l: number; readonly k: number; readonly n: number }
  /** Timed passes of a cell. */
  readonly rounds: number
}

/** Where the mean of a correct run lies, both ends included. */
export type Band = readonly [from: number, to: number]

/** A network that is compared on the clusters of a data model. */
export interface ClustersVariant extends Pick<Variant, 'name' | 'model' | 'flags'> {
  /** The settings that it is trained on; all unless given. */
  readonly settings?: readonly string[]
  /** By setting: the published mean and standard deviation of the accuracy, in percent, and of the entropy, in nats. */
  readonly published?: Readonly<
    Record<string, { readonly accuracy: readonly number[]; readonly entropy?: readonly number[] }>
  >
  /** By setting: where the means of a correct run lie; the accuracy in percent, the entropy in nats. */
  readonly bands?: Readonly<Record<string, { readonly accuracy?: Band; readonly entropy?: Band }>>
}

/** How large an experiment on clusters is. */
export interface ClustersScale {
  readonly seeds: number
  /** The settings of the data model, in the order in which they are run. */
  readonly settings: readonly string[]
  readonly samples: number
  readonly testSamples: number
  /** The entropy of the routing is measured every so many steps. */
  readonly entropySteps: number
  /** What all variants have in common. */
  readonly flags: Flags
  /** The names of the variants at this scale; all unless given. */
  readonly variants?: readonly string[]
}

/** Sample-level mixtures and single models on data of several clusters (Chen et al., 2022). */
export interface ClustersExperiment {
  readonly kind: 'clusters'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  readonly dataset: string
  /** What the samples are; a sentence. */
  readonly data: string
  readonly variants: readonly ClustersVariant[]
  readonly scales: Readonly<Record<ScaleName, ClustersScale>>
  /** Variants whose accuracies should rise in this order; single models are not compared with each other. */
  readonly order: { readonly singles: readonly string[]; readonly linear: string; readonly nonlinear: string }
  /** By setting: the accuracy that no single model exceeds, in percent. */
  readonly ceilings: Readonly<Record<string, number>>
  /** Pairs of variants whose accuracies are compared seed by seed. */
  readonly pairs: readonly (readonly [variant: string, baseline: string])[]
  /** The variants that the figure shows, in its order; at most six. */
  readonly figure: readonly string[]
}

/** Which experts of a fine-tuned mixture can go, and what it costs (Chowdhury et al., 2024). */
export interface PruningExperiment {
  readonly kind: 'pruning'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  /** What the images are, of each part; sentences. */
  readonly patternSentence: string
  readonly standInSentence: string
  readonly paperSentence: string
  /** Sizes of part 2 with CIFAR-100 and CIFAR-10 at full scale. */
  readonly paperPhotographs: Partial<PhotographPruning>
  readonly scales: Readonly<Record<ScaleName, PruningScale>>
}

/** One setting of a mixture that items choose, and of its data. */
export interface SparseSetting {
  /** k, experts that are active for a sample. */
  readonly active: number
  /** T. */
  readonly experts: number
  /** m, training samples. */
  readonly samples: number
}

/** How large an experiment on the generalisation bound is. */
export interface BoundScale {
  readonly seeds: number
  /** Where the axes cross. */
  readonly base: SparseSetting
  /** What each axis goes through, the others at their base. */
  readonly active: readonly number[]
  readonly experts: readonly number[]
  readonly samples: readonly number[]
  readonly testSamples: number
  readonly delta: number
  /** Of the ramp loss. */
  readonly margin: number
  /** What all runs have in common. */
  readonly flags: Flags
}

/** The generalisation bound of sparse mixtures beside their measured gap (Zhao et al., 2024). */
export interface BoundExperiment {
  readonly kind: 'bound'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  readonly model: ModelName
  readonly dataset: string
  /** What the samples are; a sentence. */
  readonly data: string
  readonly scales: Readonly<Record<ScaleName, BoundScale>>
}

/** Large images on which networks are compared. */
export interface LargeImagesTask {
  readonly name: string
  readonly dataset: string
  /** Of the images, and of how networks look at them. */
  readonly flags: Flags
  /** Training images. */
  readonly samples: readonly number[]
  readonly testSamples: number
  /** Names of the networks that are trained on it; all unless given. */
  readonly variants?: readonly string[]
}

/** A network that is compared on large images. */
export interface LargeImagesVariant {
  /** What figures and tables call it. */
  readonly name: string
  /** What it reads: the whole image, a small view of it, or the patches that a router keeps; each with the same layers. */
  readonly reads: 'image' | 'view' | 'patches'
  /** Flags of a routed network. */
  readonly flags: Flags
}

/** Images of growing size on which the time of a training step is measured. */
export interface LargeImagesCost {
  readonly dataset: string
  /** Sides of the images in pixels. */
  readonly sides: readonly number[]
  /** Images a step. */
  readonly batch: number
  /** Timed steps of each network. */
  readonly rounds: number
}

/** How large an experiment on large images is. */
export interface LargeImagesScale {
  readonly seeds: number
  readonly tasks: readonly LargeImagesTask[]
  /** Training steps of each network, whatever the number of its images. */
  readonly steps: number
  /** Images a step. */
  readonly batchSize: number
  /** Without it, no time is measured. */
  readonly cost?: LargeImagesCost
}

/** Networks that read large images whole, small, or in patches. */
export interface MegapixelExperiment {
  readonly kind: 'megapixel'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  /** What the images are; a sentence. */
  readonly data: string
  readonly variants: readonly LargeImagesVariant[]
  /** The network with which the others are compared. */
  readonly baseline: string
  readonly scales: Readonly<Record<ScaleName, LargeImagesScale>>
}

/** Where networks look on large images on which it is known what lies where. */
export interface LocaliseExperiment extends Omit<MegapixelExperiment, 'kind' | 'baseline' | 'scales'> {
  readonly kind: 'localise'
  readonly scales: Readonly<
    Record<
      ScaleName,
      Omit<LargeImagesScale, 'cost'> & {
        /** Test images with something to be found, on which it is judged where a network looks. */
        readonly images: number
      }
    >
  >
}

export type Experiment =
  | TrainingExperiment
  | CostExperiment
  | ClustersExperiment
  | PruningExperiment
  | BoundExperiment
  | MegapixelExperiment
  | LocaliseExperiment
  | TransferExperiment
