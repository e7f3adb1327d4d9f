/**
 * Datasets and their formats as typed arrays, in a browser and in Node: what `train` is given.
 */
export type { Augmentation } from './augmentation/augmentation.js'
export {
  augmented,
  type BatchPlace,
  type BatchVariation,
  batchVariation,
} from './augmentation/augmented.js'
export type { ColorJitter } from './augmentation/colour.js'
export type { Mixing } from './augmentation/mixing.js'
export type { RandAugmentOptions } from './augmentation/policies.js'
export { type BalancedBy, type BalanceOptions, balanced } from './balanced.js'
export { type BatchShare, batchShares, type Shard } from './batch-shares.js'
export { batches, epochOrder, subset } from './batches.js'
export { composeGrid, type GridOptions } from './compose/compose.js'
export { composeOnBackgrounds, type OnBackgroundsOptions } from './compose/compose-backgrounds.js'
export type { ImagePool } from './compose/composing.js'
export {
  CLUSTER_SETTINGS,
  type ClusterBasis,
  type ClusterSamplesOptions,
  type ClusterSetting,
  clusterBasis,
  clusterSamples,
} from './datasets/cluster-samples.js'
export {
  type DataSource,
  type Dataset,
  type DatasetEntry,
  type DatasetOptions,
  datasetEntry,
  datasets,
  type ImageDataset,
  type RegionDataset,
} from './datasets/datasets.js'
export { type PublishedDataset, type PublishedFile, publishedDatasets } from './datasets/downloads.js'
export { theoryImages } from './datasets/theory-patches.js'
export {
  type TheoryOptions,
  type TheoryPatterns,
  theoryDefaults,
  theoryPatterns,
} from './datasets/theory-patterns.js'
export { type CifarFormat, cifar10Format, readCifar } from './formats/cifar.js'
export { decodeExample, type Example, type Feature } from './formats/example.js'
export { loadIdx, readIdxImages, readIdxLabels } from './formats/idx.js'
export { readSafetensors, type StoredTensor, writeSafetensors } from './formats/safetensors.js'
export { type RecordChunk, type RecordReading, readRecords, recordOffsets } from './formats/tfrecord.js'
export { recordShards, type ShardSet } from './formats/tfrecord-shards.js'
export type { DecodeImage, ImageDecoding } from './image-decoding.js'
export { type ImageRecords, loadRecords, recordsOf, streamRecords } from './image-records.js'
export type { ImageBatch, ImageSet, MixedLabels, PixelSet } from './image-set.js'
export { type ImageStream, type StreamPass, streamOf } from './image-stream.js'
export type { ImageValues } from './image-values.js'
export { arraySource } from './regions/array-source.js'
export {
  type RegionRecords,
  type RegionStreamOptions,
  regionRecords,
  regionStream,
  storedRegions,
} from './regions/region-records.js'
export type { OpenRegions, RegionSource } from './regions/region-source.js'
export type { RegionBatch, RegionObjects, RegionStream } from './regions/region-stream.js'
export { type Shift, shifted } from './regions/shifted.js'
export { type ReadAhead, viewStream, viewsAhead } from './regions/views.js'
