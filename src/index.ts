/**
 * Patch-level mixture of experts for convolutional networks in TensorFlow.js: what runs in a browser and in Node.
 *
 * Importing it registers its layers, so that `tf.loadLayersModel` knows them.
 */
export type { ImageBatch, ImageSet } from './data/image-set.js'
export { BatchNormalization, batchNormalization } from './layers/batch-norm.js'
export type { Border } from './layers/experts.js'
export { type LayerOps, registerLayerOps } from './layers/ops.js'
export { PatchGate, type PatchGateOptions, patchGate } from './layers/patch-gate.js'
export { PatchMoE, type PatchMoEOptions, patchMoE } from './layers/patch-moe.js'
export type { PatchGrid } from './layers/patches.js'
export type { PreActivation } from './layers/pre-activation.js'
export type { Gate, GateScale, Routing } from './layers/routing.js'
export {
  type Normalizer,
  TwoLayerExperts,
  type TwoLayerExpertsOptions,
  twoLayerExperts,
} from './layers/two-layer-experts.js'
export { type LayerCost, type ModelCost, modelCost } from './models/cost.js'
export { type TwoLayerPatchModelOptions, twoLayerPatchModel } from './models/two-layer.js'
export { type WideResNetOptions, type WideResNetVariant, wideResNet } from './models/wide-resnet.js'
export type { ImageShape, Size2D } from './shapes.js'
