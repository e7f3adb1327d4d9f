/**
 * What needs Node: backends, files, datasets on disk; and all of `patch-moe`.
 */
export {
  type BackendChoice,
  type BackendName,
  type UseBackendOptions,
  useBackend,
} from './backend/choose.js'
export { type BackendDiagnosis, type Diagnosis, diagnose } from './backend/doctor.js'
export { type NativeProvided, type ProvideNativeOptions, provideNative } from './backend/provide-native.js'
export { dataFolder, datasetSource, samplesFolder } from './files/data-folder.js'
export { readImage } from './files/image-files.js'
export { fileSystem } from './files/model-files.js'
export { createRun, fileCheckpoints, openRun, type RunFolder } from './files/run-folder.js'
export * from './index.js'
