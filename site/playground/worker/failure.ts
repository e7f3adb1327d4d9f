import { DeviceError } from '../../../src/backend/device-error.js'
import type { Report } from '../protocol.js'

/** What the page is told of an error. */
export function failure(session: number, error: unknown): Report {
  const message = error instanceof Error ? error.message : String(error)
  return { type: 'failed', session, message, isDevice: error instanceof DeviceError }
}
