/**
 * What needs Node (backends, files, datasets on disk), and all of `patch-moe`, `patch-moe/data` and
 * `patch-moe/statistics`.
 */
export {
  type BackendChoice,
  type BackendName,
  type UseBackendOptions,
  useBackend,
} from './backend/choose.js'
export { type BackendDiagnosis, type Diagnosis, diagnose } from './backend/doctor.js'
export {
  type NativeProvided,
  type ProvideNativeOptions,
  provideNative,
} from './backend/native/provide-native.js'
export { type ClusterSpec, clusterSpec } from './cluster/cluster-spec.js'
export { type JoinedCluster, type JoinOptions, joinCluster } from './cluster/join-cluster.js'
export { WorkerLostError } from './cluster/worker-failure.js'
export * from './data/index.js'
export type { KerasModel } from './export/weights/keras-model.js'
export { type AugmentedAheadOptions, augmentedAhead } from './files/augmentation/augmented-ahead.js'
export { dataFolder, datasetSource, samplesFolder } from './files/data-folder.js'
export { type FeatureFiles, featureFiles } from './files/features/feature-files.js'
export { type FetchedDataset, type FetchOptions, fetchDataset } from './files/fetch/fetch-dataset.js'
export { decodeImage, readImage } from './files/images/image-files.js'
export { fileSystem, loadModelFolder } from './files/model-files.js'
export type { PreparedReading } from './files/prepared/prefetch.js'
export { type PrepareProgress, type PrepareRequest, prepareDataset } from './files/prepared/prepare.js'
export {
  isPrepared,
  openPrepared,
  openPreparedRegions,
  type PreparedData,
  type PreparedRegionData,
  type PreparedRequest,
} from './files/prepared/prepared-set.js'
export { type Verification, type VerifiedFile, verifyFolder } from './files/prepared/verify.js'
export type { RegionDecoding } from './files/regions/image-file.js'
export { openRegions, regionsIn } from './files/regions/open-regions.js'
export { deepZoomSource, iiifSource } from './files/regions/pyramid-source.js'
export { regionsInThread } from './files/regions/reading-thread.js'
export { sharpSource } from './files/regions/sharp-source.js'
export { type ZipLimits, zipSource } from './files/zip/zip-source.js'
export * from './index.js'
export { kerasModel, loadKerasWeights } from './run/keras-networks.js'
export {
  createRun,
  fileCheckpoints,
  type LockedRun,
  lockedRun,
  openLockedRun,
  openRun,
  type RunCreation,
  type RunFolder,
} from './run/run-folder.js'
export { modelRouters, type Routers } from './run/starting-routers.js'
export * from './statistics/index.js'
