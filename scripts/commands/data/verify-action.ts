import { verifyFolder } from '../../../src/files/prepared/verify.js'
import { usablePlace } from '../../terminal/data-path.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'

/** The flags of `pmoe data verify`. */
export interface VerifyRequest {
  readonly json?: boolean
}

/**
 * Verifies a folder and writes the result of each file.
 *
 * @throws Error saying how many files are damaged
 */
export async function runVerify(directory: string, { json = false }: VerifyRequest): Promise<void> {
  usablePlace(directory)
  const interrupt = onInterrupt(() => process.stderr.write('Stopping …\n'))
  try {
    const { prepared, files } = await verifyFolder(directory, {
      signal: interrupt.signal,
      onFile({ file, records, problem }) {
        if (json) return
        const what = records === undefined ? '' : `  ${records} records`
        process.stdout.write(`${problem === undefined ? 'ok      ' : 'DAMAGED '}${file}${what}\n`)
        if (problem !== undefined) process.stdout.write(`        ${problem}\n`)
      },
    })
    const damaged = files.filter(({ problem }) => problem !== undefined)
    const records = files.reduce((sum, file) => sum + (file.records ?? 0), 0)
    if (json)
      process.stdout.write(
        `${JSON.stringify({ directory, prepared, records, damaged: damaged.length, files })}\n`,
      )
    const what = `${records} records in ${files.length} ${files.length === 1 ? 'file' : 'files'}`
    if (damaged.length > 0) {
      throw new Error(`${directory}: all files must be whole, got ${damaged.length} damaged (${what})`)
    }
    const right = prepared ? 'as the manifest says' : 'every checksum is right'
    if (!json) process.stdout.write(`All is well: ${what}, ${right}\n`)
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
  }
}
