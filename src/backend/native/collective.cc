// Puts a process into TensorFlow's collective runtime, without changing tfjs-node or TensorFlow.
//
// Loaded with RTLD_GLOBAL before tfjs-node's addon, whose references to the functions of TensorFlow's C API below are then bound to
// those of this file, which call TensorFlow's own. TensorFlow is found by name once it is loaded, so that nothing is linked with it; the
// few types and functions of TensorFlow and of Node that are needed are declared here, so that no headers are needed either.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#define EXPORTED extern "C" __attribute__((visibility("default")))

// ---------------------------------------------------------------- Node's C interface, version 8

typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
typedef struct napi_callback_info__* napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
typedef int napi_status;

extern "C" {
napi_status napi_get_cb_info(napi_env, napi_callback_info, size_t*, napi_value*, napi_value*, void**);
napi_status napi_get_typedarray_info(napi_env, napi_value, int*, size_t*, void**, napi_value*, size_t*);
napi_status napi_get_value_string_utf8(napi_env, napi_value, char*, size_t, size_t*);
napi_status napi_get_value_int64(napi_env, napi_value, int64_t*);
napi_status napi_get_array_length(napi_env, napi_value, uint32_t*);
napi_status napi_get_element(napi_env, napi_value, uint32_t, napi_value*);
napi_status napi_set_element(napi_env, napi_value, uint32_t, napi_value);
napi_status napi_create_array(napi_env, napi_value*);
napi_status napi_create_int64(napi_env, int64_t, napi_value*);
napi_status napi_create_string_utf8(napi_env, const char*, size_t, napi_value*);
napi_status napi_create_function(napi_env, const char*, size_t, napi_callback, void*, napi_value*);
napi_status napi_set_named_property(napi_env, napi_value, const char*, napi_value);
}

// ---------------------------------------------------------------- TensorFlow's C interface

struct TFE_Context;
struct TFE_ContextOptions;
struct TFE_Op;
struct TFE_TensorHandle;
struct TF_DeviceList;
struct TF_Status;

/** Where a function of TensorFlow's is; it is loaded when the first of them is asked for. */
static void* addressOf(const char* name) {
  static const char* libraries[] = {"libtensorflow_cc.so.2", "libtensorflow.so.2", "libtensorflow_framework.so.2"};
  for (const char* library : libraries) {
    void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    void* address = handle ? dlsym(handle, name) : nullptr;
    if (handle) dlclose(handle);
    if (address) return address;
  }
  return nullptr;
}

template <class Function>
static Function own(const char* name) {
  return reinterpret_cast<Function>(addressOf(name));
}

/** A status of TensorFlow's, as long as it is used. */
class Status {
 public:
  Status() : status_(own<TF_Status* (*)()>("TF_NewStatus")()) {}
  ~Status() { own<void (*)(TF_Status*)>("TF_DeleteStatus")(status_); }
  TF_Status* get() const { return status_; }
  int code() const { return own<int (*)(const TF_Status*)>("TF_GetCode")(status_); }
  std::string message() const { return own<const char* (*)(const TF_Status*)>("TF_Message")(status_); }

 private:
  TF_Status* status_;
};

static void setStatus(TF_Status* status, int code, const std::string& message) {
  own<void (*)(TF_Status*, int, const char*)>("TF_SetStatus")(status, code, message.c_str());
}

static const int INTERNAL = 13;

// ---------------------------------------------------------------- what the process was told

/** A ServerDef of TensorFlow's, serialised; empty until the process is to join a cluster. */
static std::string serverDefinition;
/** What the names of this worker's own devices begin with: /job:worker/replica:0/task:1/ */
static std::string ownDevices;
/** The one address, of IPv4 or IPv6, at which this worker listens. */
static std::string listeningAddress;
/** How long joining may take. */
static int64_t joiningMs = 0;
static TFE_Context* context = nullptr;
/** Why the process could not join; empty otherwise. */
static std::string failure;

// ---------------------------------------------------------------- listening at one address

/** TensorFlow's server listens on all addresses of a machine; this narrows it down to the one that was given. */
static int bindOne(int socket, const sockaddr* address, socklen_t length) {
  sockaddr_storage narrowed;
  if (length > sizeof narrowed) return ::bind(socket, address, length);
  memcpy(&narrowed, address, length);
  in_addr v4;
  in6_addr v6;
  const bool isV4 = inet_pton(AF_INET, listeningAddress.c_str(), &v4) == 1;
  const bool isV6 = !isV4 && inet_pton(AF_INET6, listeningAddress.c_str(), &v6) == 1;
  if (address->sa_family == AF_INET && isV4) {
    auto* own = reinterpret_cast<sockaddr_in*>(&narrowed);
    if (own->sin_addr.s_addr == htonl(INADDR_ANY)) own->sin_addr = v4;
  } else if (address->sa_family == AF_INET6) {
    auto* own = reinterpret_cast<sockaddr_in6*>(&narrowed);
    const uint8_t* bytes = own->sin6_addr.s6_addr;
    const bool isMappedAny = IN6_IS_ADDR_V4MAPPED(&own->sin6_addr) && !memcmp(bytes + 12, "\0\0\0\0", 4);
    if (IN6_IS_ADDR_UNSPECIFIED(&own->sin6_addr) || isMappedAny) {
      if (isV6) own->sin6_addr = v6;
      if (isV4) {
        memset(&own->sin6_addr, 0, sizeof own->sin6_addr);
        memset(own->sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(own->sin6_addr.s6_addr + 12, &v4, sizeof v4);
      }
    }
  }
  return ::bind(socket, reinterpret_cast<sockaddr*>(&narrowed), length);
}

/** Whether a relocation fills in the address of a function: 7 and 6 on x86-64, 1026 and 1025 on arm64. */
static bool isFunctionSlot(uint32_t type) {
#if defined(__aarch64__)
  return type == 1026 || type == 1025;
#else
  return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
#endif
}

static int slotsReplaced = 0;

static void replaceSlots(ElfW(Addr) base, const ElfW(Rela)* entries, size_t count, const ElfW(Sym)* symbols, const char* names) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (size_t i = 0; i < count; i++) {
    if (!isFunctionSlot(ELF64_R_TYPE(entries[i].r_info))) continue;
    if (strcmp(names + symbols[ELF64_R_SYM(entries[i].r_info)].st_name, "bind")) continue;
    void** slot = reinterpret_cast<void**>(base + entries[i].r_offset);
    const uintptr_t first = reinterpret_cast<uintptr_t>(slot) & ~(page - 1);
    if (mprotect(reinterpret_cast<void*>(first), 2 * page, PROT_READ | PROT_WRITE) &&
        mprotect(reinterpret_cast<void*>(first), page, PROT_READ | PROT_WRITE))
      continue;
    *slot = reinterpret_cast<void*>(&bindOne);
    slotsReplaced++;
  }
}

/** Has the calls of `bind` in TensorFlow's libraries go through {@link bindOne}. */
static int replaceBind(dl_phdr_info* library, size_t, void*) {
  if (!library->dlpi_name || !strstr(library->dlpi_name, "libtensorflow")) return 0;
  const ElfW(Dyn)* entry = nullptr;
  for (int i = 0; i < library->dlpi_phnum; i++)
    if (library->dlpi_phdr[i].p_type == PT_DYNAMIC)
      entry = reinterpret_cast<const ElfW(Dyn)*>(library->dlpi_addr + library->dlpi_phdr[i].p_vaddr);
  if (!entry) return 0;
  const char* names = nullptr;
  const ElfW(Sym)* symbols = nullptr;
  const ElfW(Rela)* tables[2] = {nullptr, nullptr};
  size_t bytes[2] = {0, 0};
  for (; entry->d_tag != DT_NULL; entry++) {
    const auto address = entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(address);
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(address);
    if (entry->d_tag == DT_JMPREL) tables[0] = reinterpret_cast<const ElfW(Rela)*>(address);
    if (entry->d_tag == DT_PLTRELSZ) bytes[0] = entry->d_un.d_val;
    if (entry->d_tag == DT_RELA) tables[1] = reinterpret_cast<const ElfW(Rela)*>(address);
    if (entry->d_tag == DT_RELASZ) bytes[1] = entry->d_un.d_val;
  }
  for (int i = 0; i < 2; i++)
    if (tables[i]) replaceSlots(library->dlpi_addr, tables[i], bytes[i] / sizeof(ElfW(Rela)), symbols, names);
  return 0;
}

// ---------------------------------------------------------------- joining

static std::atomic<bool> hasJoined{false};

/** Ends the process where joining does not return: JavaScript, which waits for it, could not. */
static void watchJoining() {
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(joiningMs));
    if (hasJoined) return;
    const char* message = "pmoe: cluster: TensorFlow's servers must find each other, got no answer in time (is a worker lost?)\n";
    if (write(2, message, strlen(message)) < 0) _exit(2);
    _exit(1);
  }).detach();
}

/** Starts TensorFlow's server and waits for the other workers. */
static void join() {
  using Enable = void (*)(TFE_Context*, const void*, size_t, TF_Status*);
  const auto enable = own<Enable>("TFE_EnableCollectiveOps");
  if (!enable) {
    failure = "this TensorFlow has no collective operations";
    return;
  }
  dl_iterate_phdr(replaceBind, nullptr);
  if (slotsReplaced == 0) {
    failure = "TensorFlow's server could not be kept to the address " + listeningAddress;
    return;
  }
  watchJoining();
  Status status;
  enable(context, serverDefinition.data(), serverDefinition.size(), status.get());
  if (status.code()) failure = status.message();
  hasJoined = true;
}

EXPORTED TFE_Context* TFE_NewContext(const TFE_ContextOptions* options, TF_Status* status) {
  using New = TFE_Context* (*)(const TFE_ContextOptions*, TF_Status*);
  TFE_Context* made = own<New>("TFE_NewContext")(options, status);
  if (!made || context || serverDefinition.empty()) return made;
  context = made;
  join();
  if (!failure.empty()) setStatus(status, INTERNAL, failure);
  return made;
}

/** tfjs-node computes on the last device of a kind that is listed: those of other workers must not look like one. */
EXPORTED const char* TF_DeviceListType(const TF_DeviceList* list, int index, TF_Status* status) {
  using Text = const char* (*)(const TF_DeviceList*, int, TF_Status*);
  static const auto typeOf = own<Text>("TF_DeviceListType");
  static const auto nameOf = own<Text>("TF_DeviceListName");
  const char* name = nameOf(list, index, status);
  const bool isOther = name && !ownDevices.empty() && strncmp(name, ownDevices.c_str(), ownDevices.size());
  return isOther ? "REMOTE" : typeOf(list, index, status);
}

// ---------------------------------------------------------------- collectives in a thread of their own

/** A collective operation that is under way, or whose result waits to be fetched. */
struct Collective {
  TFE_Op* op = nullptr;
  TFE_TensorHandle* result = nullptr;
  bool isDone = false;
  int code = 0;
  std::string message;
};

// Never destroyed: the thread waits for them when the process ends.
static std::mutex& guard = *new std::mutex;
static std::condition_variable& changed = *new std::condition_variable;
static std::deque<int64_t>& waiting = *new std::deque<int64_t>;
static std::map<int64_t, Collective>& collectives = *new std::map<int64_t, Collective>;
static int64_t lastTicket = 0;

/** What the next operation of the JavaScript thread is: an ordinary one, one to hand over, or the place of a result. */
enum class Next { ORDINARY, HAND_OVER, FETCH };
static Next next = Next::ORDINARY;
static int64_t nextTicket = 0;

using Execute = void (*)(TFE_Op*, TFE_TensorHandle**, int*, TF_Status*);
using DeleteOp = void (*)(TFE_Op*);

static Execute ownExecute() {
  static const auto execute = own<Execute>("TFE_Execute");
  return execute;
}

static DeleteOp ownDelete() {
  static const auto remove = own<DeleteOp>("TFE_DeleteOp");
  return remove;
}

/** Runs collectives one after the other, in the order in which they were handed over. */
static void runCollectives() {
  std::unique_lock<std::mutex> lock(guard);
  for (;;) {
    changed.wait(lock, [] { return !waiting.empty(); });
    const int64_t ticket = waiting.front();
    waiting.pop_front();
    TFE_Op* op = collectives[ticket].op;
    lock.unlock();
    TFE_TensorHandle* result = nullptr;
    int count = 1;
    int code;
    std::string message;
    {
      Status status;
      ownExecute()(op, &result, &count, status.get());
      code = status.code();
      if (code) message = status.message();
      ownDelete()(op);
    }
    lock.lock();
    Collective& done = collectives[ticket];
    done.op = nullptr;
    done.result = result;
    done.code = code;
    done.message = message;
    done.isDone = true;
    changed.notify_all();
  }
}

/** Operations that were handed over, which the thread deletes. */
static TFE_Op* handedOver = nullptr;

/** Stands for the result until that is fetched: a handle on the input, which has its shape and type. */
static TFE_TensorHandle* placeholder(TFE_Op* op, TF_Status* status) {
  using Input = TFE_TensorHandle* (*)(const TFE_Op*, int, TF_Status*);
  using Share = TFE_TensorHandle* (*)(TFE_TensorHandle*, TF_Status*);
  static const auto inputOf = own<Input>("TFE_OpGetFlatInput");
  static const auto share = own<Share>("TFE_TensorHandleCopySharingTensor");
  TFE_TensorHandle* input = inputOf(op, 0, status);
  return input ? share(input, status) : nullptr;
}

static void handOver(TFE_Op* op, TFE_TensorHandle** results, int* count, TF_Status* status) {
  static std::thread* thread = nullptr;
  results[0] = placeholder(op, status);
  *count = 1;
  if (!results[0]) return;
  std::lock_guard<std::mutex> lock(guard);
  if (!thread) {
    thread = new std::thread(runCollectives);
    thread->detach();
  }
  handedOver = op;
  collectives[nextTicket].op = op;
  waiting.push_back(nextTicket);
  changed.notify_all();
}

static void fetch(TFE_TensorHandle** results, int* count, TF_Status* status) {
  std::unique_lock<std::mutex> lock(guard);
  const auto found = collectives.find(nextTicket);
  if (found == collectives.end()) {
    setStatus(status, INTERNAL, "no collective of this number is under way");
    return;
  }
  changed.wait(lock, [&] { return found->second.isDone; });
  if (found->second.code) setStatus(status, found->second.code, found->second.message);
  results[0] = found->second.result;
  *count = 1;
  collectives.erase(found);
}

/** What TensorFlow said of the last operation that failed: tfjs-node passes on its number alone. */
static std::string lastError;

static void noteError(TF_Status* status) {
  static const auto codeOf = own<int (*)(const TF_Status*)>("TF_GetCode");
  static const auto messageOf = own<const char* (*)(const TF_Status*)>("TF_Message");
  if (codeOf(status)) lastError = messageOf(status);
}

EXPORTED void TFE_Execute(TFE_Op* op, TFE_TensorHandle** results, int* count, TF_Status* status) {
  const Next now = next;
  next = Next::ORDINARY;
  if (now == Next::HAND_OVER) return handOver(op, results, count, status);
  if (now == Next::FETCH) {
    fetch(results, count, status);
  } else {
    ownExecute()(op, results, count, status);
  }
  noteError(status);
}

EXPORTED void TFE_DeleteOp(TFE_Op* op) {
  if (op == handedOver && op) {
    handedOver = nullptr;
    return;
  }
  ownDelete()(op);
}

// ---------------------------------------------------------------- what JavaScript calls

static std::vector<napi_value> argumentsOf(napi_env env, napi_callback_info info) {
  size_t count = 4;
  std::vector<napi_value> values(count);
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  values.resize(count);
  return values;
}

static std::string textOf(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length)) return "";
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, &text[0], length + 1, &length);
  return text;
}

static int64_t numberOf(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

static napi_value textValue(napi_env env, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

/** configure(serverDefinition: Uint8Array, ownDevices: string, listeningAddress: string, joiningMs: number) */
static napi_value Configure(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf(env, info);
  void* bytes = nullptr;
  size_t length = 0;
  int type = 0;
  napi_get_typedarray_info(env, values[0], &type, &length, &bytes, nullptr, nullptr);
  serverDefinition.assign(static_cast<char*>(bytes), length);
  ownDevices = textOf(env, values[1]);
  listeningAddress = textOf(env, values[2]);
  joiningMs = numberOf(env, values[3]);
  return nullptr;
}

/** failure(): why the process could not join, or nothing */
static napi_value Failure(napi_env env, napi_callback_info) {
  return failure.empty() ? nullptr : textValue(env, failure);
}

/** lastError(): what TensorFlow said of the last operation that failed */
static napi_value LastError(napi_env env, napi_callback_info) { return textValue(env, lastError); }

/** handOver(): the next operation, which must be a collective, goes to the thread; returns its number */
static napi_value HandOver(napi_env env, napi_callback_info) {
  next = Next::HAND_OVER;
  nextTicket = ++lastTicket;
  napi_value number;
  napi_create_int64(env, nextTicket, &number);
  return number;
}

/** fetch(number): the next operation is not run, and has the result of that collective */
static napi_value Fetch(napi_env env, napi_callback_info info) {
  nextTicket = numberOf(env, argumentsOf(env, info)[0]);
  next = Next::FETCH;
  return nullptr;
}

/** probe(tasks: string[], milliseconds): what is wrong with each of these workers, '' for one that answers */
static napi_value Probe(napi_env env, napi_callback_info info) {
  using Check = void (*)(TFE_Context*, const char*, int64_t, TF_Status*);
  const auto values = argumentsOf(env, info);
  const auto check = own<Check>("TFE_CollectiveOpsCheckPeerHealth");
  const int64_t milliseconds = numberOf(env, values[1]);
  uint32_t count = 0;
  napi_get_array_length(env, values[0], &count);
  std::vector<std::string> tasks(count), answers(count);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < count; i++) {
    napi_value task;
    napi_get_element(env, values[0], i, &task);
    tasks[i] = textOf(env, task);
  }
  for (uint32_t i = 0; check && context && i < count; i++)
    threads.emplace_back([&, i] {
      Status status;
      check(context, tasks[i].c_str(), milliseconds, status.get());
      if (status.code()) answers[i] = status.message().empty() ? "no answer" : status.message();
    });
  for (auto& thread : threads) thread.join();
  napi_value list;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < count; i++) napi_set_element(env, list, i, textValue(env, answers[i]));
  return list;
}

EXPORTED napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback callback;
  } functions[] = {{"configure", Configure}, {"failure", Failure}, {"lastError", LastError}, {"handOver", HandOver}, {"fetch", Fetch}, {"probe", Probe}};
  for (const auto& each : functions) {
    napi_value function;
    napi_create_function(env, each.name, strlen(each.name), each.callback, nullptr, &function);
    napi_set_named_property(env, exports, each.name, function);
  }
  return exports;
}

EXPORTED int32_t node_api_module_get_api_version_v1() { return 8; }
