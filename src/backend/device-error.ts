/** A GPU that no longer computes, or never computed what it was given. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError'
}

const failures = new WeakMap<object, DeviceError>()

/** Marks a backend of tfjs as one whose numbers are wrong from now on; the first reason holds. */
export function markFailed(backend: object, error: DeviceError): void {
  if (!failures.has(backend)) failures.set(backend, error)
}

/** Why the numbers of a backend are wrong; undefined where they are right. */
export function failureOf(backend: object): DeviceError | undefined {
  return failures.get(backend)
}
