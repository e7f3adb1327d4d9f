import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PackageInstallation, unmet } from './installation.js'
import { LOADING_ADDON, NODE_API_VERSION } from './native.js'

/** TensorFlow's C library in two files, which the addon is linked with. */
export const TENSORFLOW_LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']

/**
 * The C++ compiler of this machine: CXX, or the first of the usual names.
 *
 * @throws Error where there is none, or where the platform is not Linux
 */
export async function findCompiler({
  run,
  signal,
}: Pick<PackageInstallation, 'run' | 'signal'>): Promise<string> {
  if (process.platform !== 'linux') {
    throw new Error(
      `provideNative: the platform must be linux where the published addon cannot be had, got ${process.platform}`,
    )
  }
  const names = [...(process.env.CXX ? [process.env.CXX] : []), 'c++', 'g++', 'clang++']
  for (const name of names) {
    try {
      await run(name, ['--version'], { signal })
      return name
    } catch {
      signal?.throwIfAborted()
    }
  }
  throw new Error(
    `provideNative: a C++ compiler must be installed, got none of ${names.join(', ')} (on Debian: apt install g++)`,
  )
}

/**
 * Compiles tfjs-node's addon against the library in `deps/lib`, and beside it the small one that prepares the loading of
 * this library.
 *
 * @param folder of the npm package
 * @param headers folder of TensorFlow's headers
 */
export async function compileAddons(
  work: PackageInstallation,
  compiler: string,
  folder: string,
  headers: string,
): Promise<void> {
  const output = join(folder, `lib/napi-v${NODE_API_VERSION}`)
  await mkdir(output, { recursive: true })
  const binding = join(folder, 'binding')
  const loading = join(binding, 'loading.cc')
  const sources = (await readdir(binding))
    .filter(name => name.endsWith('.cc'))
    .map(name => join(binding, name))
  const libraries = TENSORFLOW_LIBRARIES.map(library => `-l:${library}`)
  const linked = [`-L${join(folder, 'deps/lib')}`, ...libraries, '-Wl,-rpath,$ORIGIN/../../deps/lib']
  await writeFile(loading, LOADING_SOURCE)
  await compile(work, compiler, [`-I${headers}`, ...sources, ...linked], join(output, 'tfjs_binding.node'))
  await compile(work, compiler, [loading, '-ldl'], join(output, LOADING_ADDON))
}

async function compile(
  { run, signal, stage }: PackageInstallation,
  compiler: string,
  inputs: string[],
  output: string,
): Promise<void> {
  const nodeHeaders = join(stage, 'node_modules/node-api-headers/include')
  const defines = [`-DNAPI_VERSION=${NODE_API_VERSION}`, '-DBUILDING_NODE_EXTENSION']
  const flags = ['-std=c++17', '-O2', '-fPIC', '-shared']
  const args = [...flags, ...defines, `-I${nodeHeaders}`, ...inputs, '-o', output]
  await run(compiler, args, { signal }).catch(cause => {
    throw unmet(`${compiler} must compile the addon`, cause)
  })
}

/**
 * TensorFlow logs while it loads, before its settings take effect, so standard error is redirected during that time. It
 * opens CUDA's libraries by name, which finds those that the process has opened by path before.
 */
const LOADING_SOURCE = `
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

static int kept = -1;

static napi_value Mute(napi_env, napi_callback_info) {
  int nowhere = open("/dev/null", O_WRONLY);
  if (kept < 0 && nowhere >= 0 && (kept = dup(2)) >= 0) dup2(nowhere, 2);
  if (nowhere >= 0) close(nowhere);
  return nullptr;
}

static napi_value Unmute(napi_env, napi_callback_info) {
  if (kept >= 0) {
    dup2(kept, 2);
    close(kept);
    kept = -1;
  }
  return nullptr;
}

static napi_value Preload(napi_env env, napi_callback_info info) {
  napi_value path, failure;
  size_t count = 1, length = 0;
  char text[4096];
  napi_get_cb_info(env, info, &count, &path, nullptr, nullptr);
  if (napi_get_value_string_utf8(env, path, text, sizeof text, &length) != napi_ok) return nullptr;
  if (dlopen(text, RTLD_LAZY | RTLD_LOCAL)) return nullptr;
  napi_create_string_utf8(env, dlerror(), NAPI_AUTO_LENGTH, &failure);
  return failure;
}

static void Export(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  Export(env, exports, "mute", Mute);
  Export(env, exports, "unmute", Unmute);
  Export(env, exports, "preload", Preload);
  return exports;
}
`
