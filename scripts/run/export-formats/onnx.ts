import { writeFile } from 'node:fs/promises'
import type { InferenceSession } from 'onnxruntime-node'
import type { ExportFormatEntry } from './export-format.js'
import type { Runtime, RuntimeInput } from './model-runtime.js'

/** ONNX, run by ONNX Runtime. */
export const onnx: ExportFormatEntry = {
  title: 'ONNX, opset 17',
  unit: 'operations',
  takesFeeding: true,
  quantizations: ['int8', 'float16'],
  takesVariablePatches: true,
  reading: 'onnxruntime.InferenceSession(path) in Python',
  async write(model, path, { facts, quantize, ...feeding }) {
    const { exportOnnx } = await import('../../../src/export/onnx/onnx.js')
    const options = { ...feeding, ...facts }
    const { bytes, operations, inFloat } = await exportOnnx(model, {
      ...options,
      ...(quantize && { quantize }),
    })
    await writeFile(path, bytes)
    const plain = quantize && { unquantizedBytes: (await exportOnnx(model, options)).bytes.length }
    return { bytes: bytes.length, parts: operations, ...plain, ...(inFloat && { inFloat }) }
  },
  load: ({ path }) => onnxRuntime(path),
}

/**
 * Loads an ONNX file into ONNX Runtime.
 *
 * @param threads that one operation is shared among; as many as there are cores unless given
 * @returns the reason, as a sentence, where ONNX Runtime is missing
 * @throws Error when the file does not load
 */
export async function onnxRuntime(path: string, threads?: number): Promise<Runtime | string> {
  const ort = await import('onnxruntime-node')
    .then(({ InferenceSession, Tensor }) => ({ InferenceSession, Tensor }))
    .catch((error: NodeJS.ErrnoException) => error)
  if (ort instanceof Error) {
    if (ort.code === 'ERR_MODULE_NOT_FOUND')
      return 'ONNX Runtime is not installed (npm install onnxruntime-node)'
    return `ONNX Runtime does not load: ${ort.message.split('\n')[0]}`
  }
  const session: InferenceSession = await ort.InferenceSession.create(path, {
    logSeverityLevel: 3,
    ...(threads !== undefined && { intraOpNumThreads: threads }),
  })
  return {
    name: 'ONNX Runtime',
    run: async inputs => {
      const feeds = session.inputNames.map((name, i) => {
        const { data, shape } = inputs[i] as RuntimeInput
        if (data instanceof Int32Array) {
          return [name, new ort.Tensor('int64', BigInt64Array.from(data, BigInt), [...shape])]
        }
        return [name, new ort.Tensor(data instanceof Uint8Array ? 'uint8' : 'float32', data, [...shape])]
      })
      const outputs = await session.run(Object.fromEntries(feeds))
      return session.outputNames.map(name => outputs[name]?.data as Float32Array)
    },
    dispose: () => session.release(),
  }
}
