/**
 * Patch-level mixture of experts for convolutional networks in TensorFlow.js: what runs in a browser and in Node.
 *
 * Importing it registers its layers, so that `tf.loadLayersModel` knows them.
 */
export { batches, epochOrder, subset } from './data/batches.js'
export { type CifarFormat, cifar10Format, readCifar } from './data/cifar.js'
export { composeGrid, type GridOptions } from './data/compose.js'
export {
  type DataSource,
  type Dataset,
  type DatasetEntry,
  type DatasetOptions,
  datasetEntry,
  datasets,
} from './data/datasets.js'
export { loadIdx, readIdxImages, readIdxLabels } from './data/idx.js'
export type { ImageBatch, ImageSet } from './data/image-set.js'
export { readSafetensors, type StoredTensor, writeSafetensors } from './data/safetensors.js'
export {
  BatchNormalization,
  type BatchNormalizationOptions,
  batchNormalization,
} from './layers/batch-norm.js'
export type { Border } from './layers/experts.js'
export { type LayerOps, registerLayerOps } from './layers/ops.js'
export { PatchGate, type PatchGateOptions, patchGate } from './layers/patch-gate.js'
export { PatchMoE, type PatchMoEOptions, patchMoE } from './layers/patch-moe.js'
export type { PatchGrid } from './layers/patches.js'
export type { PreActivation } from './layers/pre-activation.js'
export { ReLU, relu } from './layers/relu.js'
export { ResidualAdd, residualAdd } from './layers/residual-add.js'
export type { Gate, GateScale, Routing } from './layers/routing.js'
export {
  type Normalizer,
  TwoLayerExperts,
  type TwoLayerExpertsOptions,
  twoLayerExperts,
} from './layers/two-layer-experts.js'
export { type LayerCost, type ModelCost, type MultiplyAdds, modelCost } from './models/cost.js'
export { type ModelName, paperExperiments, type Recipe, recipe } from './models/recipes.js'
export { type TwoLayerPatchModelOptions, twoLayerPatchModel } from './models/two-layer.js'
export { type WideResNetOptions, type WideResNetVariant, wideResNet } from './models/wide-resnet.js'
export type { ImageShape, Size2D } from './shapes.js'
export { recomputeStatistics } from './train/bn-statistics.js'
export { type CheckpointStore, memoryStore, readCheckpoint, type TrainState } from './train/checkpoint.js'
export { type Evaluation, evaluate, predictProbabilities } from './train/evaluate.js'
export {
  DivergenceError,
  type EpochMetrics,
  type TrainEvent,
  type TrainOptions,
  train,
} from './train/loop.js'
export type { OptimizerOptions } from './train/optimizer.js'
