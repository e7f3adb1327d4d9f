import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { FeedingOptions } from '../../../src/export/feeding.js'
import type { ModelFacts } from '../../../src/export/metadata.js'
import type { Ranges } from '../../../src/export/onnx/quantization.js'
import type { ExportFolder } from '../../../src/files/export-output.js'
import type { Runtime } from './model-runtime.js'

/** What `--quantize` can ask for. */
export const QUANTIZATIONS = ['int8', 'float16'] as const

/** How a model is exported. */
export interface ExportSettings extends FeedingOptions {
  readonly facts: ModelFacts
  /** What a network computes with numbers of 8 bits: ranges as `calibrate` measures them; or kernels of float16. */
  readonly quantize?: Ranges | 'float16'
}

/** What was written. */
export interface Written {
  /** Bytes of all files. */
  readonly bytes: number
  /** How many operations, layers or tensors of each kind there are. */
  readonly parts: Readonly<Record<string, number>>
  /** With `quantize`: what all files would take without. */
  readonly unquantizedBytes?: number
  /** With `quantize`: the layers that stay in float32, and why. */
  readonly inFloat?: readonly { readonly layer: string; readonly why: string }[]
}

/** An export that is to be run. */
export interface ExportedModel {
  /** The exported file or folder. */
  readonly path: string
  /** The model that was exported. */
  readonly model: tfl.LayersModel
  readonly backend: BackendChoice
}

/**
 * A format that models are exported to: how it is written, run and read. The modules that write and run it are
 * imported when they are needed, so that the help of the command line does not wait for them.
 */
export interface ExportFormatEntry {
  /** Name in reports: `ONNX, opset 17`. */
  readonly title: string
  /** What its parts are called. */
  readonly unit: 'operations' | 'layers' | 'tensors'
  /** Whether the axes and the number type of its inputs can be chosen. */
  readonly takesFeeding: boolean
  /** The narrow numbers that it can hold; none unless given. */
  readonly quantizations?: readonly (typeof QUANTIZATIONS)[number][]
  /** Whether L can be an input of it; false unless given. */
  readonly takesVariablePatches?: boolean
  /** How people read it, in one line: `onnxruntime.InferenceSession(path) in Python`. */
  readonly reading: string
  /** How a folder of this format is recognised; left out for formats of one file. */
  folder?(): Promise<ExportFolder>
  /** Writes the model to a path where nothing is, or into an empty folder. */
  write(model: tfl.LayersModel, path: string, settings: ExportSettings): Promise<Written>
  /**
   * Loads an export into what runs its format.
   *
   * @returns the reason, as a sentence, where nothing can run it
   * @throws Error when the export does not load
   */
  load(exported: ExportedModel): Promise<Runtime | string>
}
