import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Starts a module of this package as a worker thread, whether it runs compiled or from its sources.
 *
 * @param module its address as compiled code has it, ending in `.js`
 * @param data what the thread finds as `workerData`
 */
export function startWorker(module: URL, data: unknown): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(module, { workerData: data })
  // Sources have to be translated as they are imported: tsx does that, however the present thread was started.
  const tsx = import.meta.resolve('tsx/esm/api')
  const source = pathToFileURL(fileURLToPath(module).replace(/\.js$/, '.ts')).href
  const start = `import(${JSON.stringify(tsx)}).then(({ register }) => { register(); return import(${JSON.stringify(source)}) })`
  return new Worker(start, { eval: true, workerData: data, execArgv: [] })
}
