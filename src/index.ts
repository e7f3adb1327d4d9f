/**
 * Patch-level mixture of experts for convolutional networks in TensorFlow.js: what runs in a browser and in Node.
 *
 * Importing it registers its layers, so that `tfl.loadLayersModel` knows them.
 */
export { DeviceError } from './backend/device-error.js'
export {
  type PageBackendChoice,
  type PageBackendName,
  useBackend,
} from './backend/page/use-backend.js'
export type { WasmOptions } from './backend/page/wasm.js'
export { registerWasmKernels } from './backend/wasm/kernels.js'
export type { Adapter } from './backend/webgpu/adapter.js'
export { registerWebGpuKernels } from './backend/webgpu/kernels.js'
export type { ImageBatch, ImageSet, PixelSet } from './data/image-set.js'
export { type ImageStream, type StreamPass, streamOf } from './data/image-stream.js'
export {
  type ExplainOptions,
  type Explanation,
  type Explanations,
  explain,
} from './explain/explain.js'
export { patchField, type ReceptiveField, receptiveField } from './explain/receptive-field.js'
export type { ExportedBytes } from './export/exported-bytes.js'
export type { FeedingOptions } from './export/feeding.js'
export { UnsupportedModelError } from './export/graph/graph.js'
export { exportOnnx, type OnnxOptions } from './export/onnx/onnx.js'
export {
  type ExportedSavedModel,
  exportSavedModel,
  type SavedModelOptions,
} from './export/saved-model/saved-model.js'
export { loadTorchWeights } from './export/weights/torch-weights.js'
export { loadWeights, modelWeights } from './export/weights/weights.js'
export { type CalibrationOptions, calibrate } from './inference/calibration.js'
export {
  type FrozenModel,
  forInference,
  type InferenceOptions,
  type ModelRoute,
} from './inference/for-inference.js'
export { type FrozenClassifier, frozenClassifier } from './inference/frozen-classifier.js'
export {
  BatchNormalization,
  type BatchNormalizationOptions,
  batchNormalization,
} from './layers/batch-norm.js'
export {
  GlobalAveragePooling2D,
  type GlobalAveragePooling2DOptions,
  globalAveragePooling2d,
} from './layers/global-average-pooling.js'
export {
  InputScaling,
  type InputScalingOptions,
  inputScaling,
  type PixelScaling,
} from './layers/input-scaling.js'
export type { CellGrid } from './layers/moe/cells.js'
export type { Border } from './layers/moe/experts/expert-convolution.js'
export type { PreActivation } from './layers/moe/experts/pre-activation.js'
export type { BankActivation } from './layers/moe/filter-banks.js'
export type { Gate, GateScale } from './layers/moe/gates.js'
export type { NetworkFactory } from './layers/moe/network-experts.js'
export { PatchExperts, type PatchRoute, patchExperts } from './layers/moe/patch-experts.js'
export type {
  Aggregate,
  PatchExpertsGate,
  PatchExpertsOptions,
  RouterFactory,
} from './layers/moe/patch-experts-options.js'
export { PatchGate, type PatchGateOptions, patchGate } from './layers/moe/patch-gate.js'
export { PatchMoE, patchMoE } from './layers/moe/patch-moe.js'
export type { PatchMoEOptions } from './layers/moe/patch-moe-options.js'
export type { PatchGrid } from './layers/moe/patches.js'
export { type Prior, type PriorFunction, registerPrior } from './layers/moe/priors.js'
export type { Routing } from './layers/moe/routing.js'
export {
  SampleExperts,
  type SampleExpertsOptions,
  sampleExperts,
} from './layers/moe/sample-experts.js'
export {
  type NormalizedGroup,
  SampleMoE,
  type SampleRouteOptions,
  sampleMoE,
} from './layers/moe/sample-moe.js'
export type { SampleMoEOptions } from './layers/moe/sample-moe-options.js'
export type { GateNoise, SampleGate, SampleRouting } from './layers/moe/sample-routing.js'
export {
  type Normalizer,
  TwoLayerExperts,
  type TwoLayerExpertsOptions,
  twoLayerExperts,
} from './layers/moe/two-layer-experts.js'
export { type LayerOps, registerLayerOps } from './layers/ops.js'
export { ReLU, relu } from './layers/relu.js'
export { ResidualAdd, residualAdd } from './layers/residual-add.js'
export { convolutionsOf, type ModelConvolution } from './models/convolutions.js'
export { type LayerCost, type ModelCost, type MultiplyAdds, modelCost } from './models/cost.js'
export { disposeModel } from './models/dispose-model.js'
export { withFasterLayers } from './models/faster-layers.js'
export { withInputScaling } from './models/input-scaling.js'
export {
  type InsertedPatchMoE,
  type InsertPatchMoEOptions,
  insertPatchMoE,
} from './models/insert-patch-moe.js'
export { type NewHead, withNewHead } from './models/new-head.js'
export {
  type PatchMoEPlan,
  type PatchMoEPlanOptions,
  type PlannedConvolution,
  type PlannedMixture,
  planPatchMoE,
} from './models/plan-patch-moe.js'
export { fineTuningRecipe, type ModelName, type Recipe, recipe } from './models/recipes.js'
export {
  RoutedModel,
  type RoutedModelOptions,
  routedModel,
  type SourceRoute,
} from './models/routed-model.js'
export { type SampleExpertsModelOptions, sampleExpertsModel } from './models/sample-experts.js'
export { type SampleMoEModelOptions, sampleMoEModel } from './models/sample-moe.js'
export { type TwoLayerPatchModelOptions, twoLayerPatchModel } from './models/two-layer.js'
export { type WideResNetOptions, type WideResNetVariant, wideResNet } from './models/wide-resnet.js'
export type { ImageShape, Size2D } from './shapes.js'
export { checkedModel } from './topology/checked-model.js'
export type { PatchAnnealing } from './train/anneal.js'
export { automaticBatchSize, type BatchSizeSearch, type ChosenBatchSize } from './train/batch-size.js'
export { recomputeStatistics } from './train/bn-statistics.js'
export { type CheckpointStore, memoryStore, readCheckpoint, type TrainState } from './train/checkpoint.js'
export type { Cluster, WireType } from './train/cluster/cluster.js'
export type { Computation } from './train/computation.js'
export {
  type Evaluation,
  evaluate,
  type ImagePredictions,
  type PredictionOptions,
  predictProbabilities,
  type Scores,
} from './train/evaluate.js'
export type { FedModel, RegionModel, TrainingData } from './train/feed.js'
export {
  findLearningRate,
  type LearningRateCurve,
  type LearningRateSearch,
  type TriedRate,
} from './train/find-learning-rate.js'
export type { FeatureLayout, FeatureStore, StoredFeatures, UnkeptFeatures } from './train/frozen/features.js'
export type { FreezeOptions, FrozenStatistics } from './train/frozen/frozen-part.js'
export { type SplitModel, splitModel } from './train/frozen/split-model.js'
export {
  DivergenceError,
  type EpochMetrics,
  type TrainEvent,
  type TrainOptions,
  train,
} from './train/loop.js'
export type { LayerRate, OptimizerOptions, WeightGroup } from './train/optimizers/optimizer-options.js'
export type { Schedule, ScheduleOptions } from './train/optimizers/schedules.js'
export { type DispatchMetrics, dispatchMetrics } from './train/routing/dispatch-metrics.js'
export type { KeptShares } from './train/routing/kept-cells.js'
export { type RouterTraining, trainRouters } from './train/routing/routers.js'
export {
  type GateStatistics,
  type RoutedLabels,
  type RoutingMetrics,
  routingMetrics,
  type TruthMetrics,
} from './train/routing/routing-metrics.js'
export { type RoutingRecord, recordRouting } from './train/routing/routing-record.js'
export { measureRouting, type RoutingSummary, summarizeRouting } from './train/routing/routing-summary.js'
export {
  measureSampleRouting,
  type SampleDispatchMetrics,
  type SampleRoutingMetrics,
  type SampleRoutingSummary,
} from './train/routing/sample-routing-metrics.js'
export { type SeparateTrainOptions, trainSeparately } from './train/routing/separate.js'
export {
  type RouterTeaching,
  type TaughtTrainOptions,
  type TeachRouterOptions,
  teachRouter,
  trainTaught,
} from './train/routing/teach.js'
export type { ClassWeights, TargetOptions } from './train/targets.js'
