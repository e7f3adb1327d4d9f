/** What the page and its worker tell each other. Every message of a session has its number: those of an earlier one are dropped. */
import type { ModelCost } from '../../src/models/cost.js'
import type { ImageShape, Size2D } from '../../src/shapes.js'
import type { RoutingMetrics } from '../../src/train/routing/routing-metrics.js'
import type { Setting } from './setting.js'

/** The two networks that are trained on the same images. */
export const NETWORKS = ['dense', 'mixture'] as const
export type NetworkName = (typeof NETWORKS)[number]

/** Addresses of what the worker reads; for the page they may be relative to its own. */
export interface Assets {
  /** Folder of the IDX files of `digits8` and `fashion-mini`, with its slash. */
  readonly samples: string
  /** Folder of tfjs's `.wasm` files, with its slash. */
  readonly wasm: string
}

/** A class of own pictures, as files or as pictures of the camera. */
export interface PictureClass {
  readonly name: string
  readonly pictures: readonly Blob[]
}

/** A file of a saved network. */
export interface ModelFile {
  readonly name: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What the page asks of the worker. */
export type Order =
  | {
      readonly type: 'open'
      readonly session: number
      readonly setting: Setting
      readonly assets: Assets
      readonly isRunning: boolean
      /** Whether to go on from the last checkpoints of the session before, which has the same networks. */
      readonly goesOn?: boolean
      /** Files of a saved network that the mixture begins as. */
      readonly model?: readonly ModelFile[]
    }
  | { readonly type: 'close'; readonly session: number }
  | { readonly type: 'run' | 'pause' | 'step' }
  | { readonly type: 'pictures'; readonly classes: readonly PictureClass[] }
  | { readonly type: 'save'; readonly network: NetworkName }

/** Test images on the wall. */
export interface WallImages {
  readonly shape: ImageShape
  readonly count: number
  /** 0..255, (count, height, width, channels). */
  readonly pixels: Uint8Array
  readonly labels: Int32Array
  readonly classNames: readonly string[]
  /** (count, 4) what shows the class: top, left, height and width in pixels; height 0 where nothing does. */
  readonly boxes?: Int32Array
}

/** Counts and costs of a session's networks, before the first step. */
export interface SessionFacts {
  readonly epochs: number
  readonly trainImages: number
  readonly testImages: number
  readonly costs: Readonly<Record<NetworkName, ModelCost>>
  /** What the dense network is. */
  readonly denseTitle: string
}

/** An epoch of one network, as `train` reports it. */
export interface EpochResult {
  readonly epoch: number
  readonly trainLoss: number
  readonly trainAccuracy: number
  readonly testAccuracy: number
  readonly seconds: number
}

/** A small picture of an expert: (height, width, channels) of 0..255. */
export interface ExpertPicture {
  readonly shape: ImageShape
  readonly pixels: Uint8Array
}

/** Where the experts look now. */
export interface Look {
  /** Epochs that the mixture was trained. */
  readonly epoch: number
  /** The grid of patches, [rows, columns]; absent for a network without experts. */
  readonly grid?: Size2D
  readonly numExperts: number
  readonly patchesPerExpert: number
  /** (wall, K, L) patches that the experts keep of the images on the wall, and their gates. */
  readonly indices: Int32Array
  readonly gates: Float32Array
  /** (wall) classes that the networks name. */
  readonly predicted: Readonly<Record<NetworkName, Int32Array>>
  readonly metrics?: RoutingMetrics
  /** (K) what each router multiplies patches with; only where routers see pixels. */
  readonly routers?: readonly ExpertPicture[]
  /** (K) mean of the patches that each expert keeps of the test images, weighed by their gates. */
  readonly meanPatches?: readonly ExpertPicture[]
}

/** What the worker tells the page. */
export type Report =
  | { readonly type: 'backend'; readonly session: number; readonly name: string; readonly reason: string }
  | { readonly type: 'wall'; readonly session: number; readonly wall: WallImages }
  | { readonly type: 'ready'; readonly session: number; readonly facts: SessionFacts }
  | {
      readonly type: 'epoch'
      readonly session: number
      readonly network: NetworkName
      readonly result: EpochResult
    }
  | {
      readonly type: 'progress'
      readonly session: number
      readonly network: NetworkName
      readonly epoch: number
      /** Share of the epoch that is done, in [0, 1]. */
      readonly share: number
    }
  | { readonly type: 'look'; readonly session: number; readonly look: Look }
  | { readonly type: 'running'; readonly session: number; readonly isRunning: boolean }
  | { readonly type: 'done'; readonly session: number }
  | { readonly type: 'remark'; readonly session: number; readonly remark: string }
  | {
      readonly type: 'failed'
      readonly session: number
      readonly message: string
      /** Whether the graphics card was lost, so that another backend can go on. */
      readonly isDevice: boolean
    }
  | { readonly type: 'loaded'; readonly session: number; readonly setting: Setting }
  | { readonly type: 'decoding'; readonly done: number; readonly total: number }
  | {
      readonly type: 'pictures'
      /** Pictures of each class that were read. */
      readonly counts: readonly { readonly name: string; readonly count: number }[]
      /** Files that are left out: no pictures, damaged ones, or more than are taken. */
      readonly unreadable: readonly { readonly name: string; readonly why: string }[]
      /** Why nothing can be trained on them; absent where something can. */
      readonly problem?: string
    }
  | { readonly type: 'saved'; readonly network: NetworkName; readonly files: readonly ModelFile[] }
