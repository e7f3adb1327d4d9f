import type { BackendName } from '../src/backend/choose.js'
import type { Rounds } from './alternate.js'
import type { ComputeMode } from './compute-mode.js'

/** What every measuring process of this library is told. */
interface Common extends Rounds {
  readonly backend: BackendName | 'auto'
}

/** Experts of a mixture and the patches that they keep. */
export interface MixtureSize {
  /** K. */
  readonly experts: number
  /** L. */
  readonly keep: number
  /** Side of a patch, in pixels of the map. */
  readonly patch: number
  /** Side of an expert's kernel, in pixels. */
  readonly kernel: number
}

/** A wide residual network of depth 10, and what it is fed. */
export interface NetworkSize extends MixtureSize {
  /** Side of an image, in pixels. */
  readonly size: number
  readonly classes: number
  readonly widen: number
}

/** Dense, or with the sparse mixture. */
export type NetworkKind = 'wrn' | 'wrn-pmoe'

/** Side of the kernel of the wide residual network's last convolution; an expert's kernel may be smaller. */
export const networkKernel = 3

/** Forward and backward of one layer: convolution, mixture, masked mixture, for several L. */
export interface LayerJob extends Common, Omit<MixtureSize, 'keep'> {
  readonly workload: 'layer'
  /** Height and width of the map. */
  readonly side: number
  /** Channels of the map, and filters of all experts together. */
  readonly channels: number
  readonly batch: number
  /** The values of L. */
  readonly keeps: readonly number[]
}

/** Steps of training on one fixed batch. */
export interface TrainingJob extends Common, NetworkSize {
  readonly workload: 'training'
  readonly network: NetworkKind
  readonly batch: number
  readonly precision: ComputeMode
  /** Whether the network's own convolutions are timed too, after the steps. */
  readonly convolutions: boolean
}

/** Prediction of both networks, for several batch sizes. */
export interface PredictionJob extends Common, NetworkSize {
  readonly workload: 'prediction'
  readonly batches: readonly number[]
}

/** Prediction of a mixture, and of the same one with fewer experts, for several batch sizes. */
export interface PruningJob extends Common, NetworkSize {
  readonly workload: 'pruning'
  readonly batches: readonly number[]
  /** Experts that stay. */
  readonly expertsKept: number
}

/** Composing, shuffling and uploading images, beside a training step. */
export interface PipelineJob extends Common, NetworkSize {
  readonly workload: 'pipeline'
  readonly batch: number
  /** Images to load and compose at a time. */
  readonly composed: number
  /** Images in the set that batches are drawn from. */
  readonly images: number
  /** Batches of one timed run. */
  readonly batchesTimed: number
}

/** Reading and writing files of records. */
export interface RecordsJob extends Common {
  readonly workload: 'records'
  /** Records of one timed run. */
  readonly records: number
}

/** Preparing image files, and the memory that it takes. */
export interface MemoryJob extends Common {
  readonly workload: 'memory'
  readonly images: number
}

/** Epochs of training over prepared images. */
export interface EpochJob extends Common, NetworkSize {
  readonly workload: 'epoch'
  readonly batch: number
  readonly images: number
  /** Images in memory at a time. */
  readonly shuffleWindow: number
}

/** Epochs of training over images that are varied. */
export interface AugmentationJob extends Common, NetworkSize {
  readonly workload: 'augmentation'
  readonly batch: number
  readonly images: number
}

/** Decoding JPEG files. */
export interface DecodingJob extends Common {
  readonly workload: 'decoding'
  /** Images of one timed run. */
  readonly images: number
  /** Side of what they are decoded to, in pixels. */
  readonly side: number
}

/** Composing images out of smaller ones. */
export interface ComposingJob extends Common {
  readonly workload: 'composing'
  /** Images of one timed run. */
  readonly images: number
}

/** Full-batch training steps of a sample-level mixture, and both forms of its experts. */
export interface SamplesJob extends Common {
  readonly workload: 'samples'
  readonly samples: number
  /** Patches of a sample. */
  readonly patches: number
  /** Numbers of a patch. */
  readonly width: number
  /** M of the training step. */
  readonly experts: number
  /** J, filters of an output. */
  readonly filters: number
  /** The values of M for which experts are measured alone. */
  readonly counts: readonly number[]
  /** Choices of a block where the layer itself would compute all experts. */
  readonly block: number
}

/** Steps of training on large images: experts on the patches that a router keeps, or the layers of an expert on whole images. */
export interface RoutedJob extends Common {
  readonly workload: 'routed'
  readonly network: 'routed' | 'dense'
  /** Side of an image, in pixels. */
  readonly size: number
  readonly batch: number
  readonly classes: number
  /** Side of a cell, in pixels; a patch has a quarter of it more on each side, and the view is at 1/4. */
  readonly cell: number
  /** Patches that the one expert keeps. */
  readonly keep: number
}

/** Passes of training over files of large images, and how long they wait for them. */
export interface RegionFilesJob extends Common {
  readonly workload: 'region-files'
  /** Side of an image, in pixels. */
  readonly size: number
  readonly images: number
  readonly batch: number
  readonly classes: number
  /** As of a {@link RoutedJob}. */
  readonly cell: number
  readonly keep: number
}

/** What a measuring process is to do. */
export type Job =
  | LayerJob
  | TrainingJob
  | PredictionJob
  | PruningJob
  | PipelineJob
  | RecordsJob
  | MemoryJob
  | EpochJob
  | AugmentationJob
  | DecodingJob
  | ComposingJob
  | SamplesJob
  | RoutedJob
  | RegionFilesJob
