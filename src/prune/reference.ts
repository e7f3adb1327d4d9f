import type * as tfl from '@tensorflow/tfjs-layers'

/** The router of one layer as plain numbers. */
export interface RouterValues {
  /** (h,w,C,K), or (h,w,C,1) of a `PatchGate`. */
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** Routers to compare with: those before fine-tuning, by the path of their layer. */
export interface ReferenceRouters {
  /** Where they come from, as the receipt names it: the path of a run, or 'initial' for those a training started from. */
  readonly path: string
  readonly routers: Readonly<Record<string, RouterValues>>
}

/** A pretrained model with the same mixture, or its routers alone. */
export type Reference = tfl.LayersModel | ReferenceRouters
