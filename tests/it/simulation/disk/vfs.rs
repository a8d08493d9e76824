//! SQLite's interface to a file system, on top of the disk in memory.
//!
//! Everything here only carries arguments over; each `unsafe` rests on what sqlite.org/c3ref says of the arguments.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi;

use super::{Code, Disk, REGION, with};

/// Processes that can use the disk at the same time.
const PROCESSES: usize = 4;
const PATH_BYTES_MAX: c_int = 512;

#[repr(C)]
struct Open {
    base: ffi::sqlite3_file,
    id: u64,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The name of the disk as each process sees it, registered with SQLite.
pub fn names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| (0..PROCESSES).map(register).collect())
}

fn register(process: usize) -> &'static str {
    let name: &'static CStr =
        Box::leak(CString::new(format!("simulated-{process}")).expect("no NUL").into_boxed_c_str());
    let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
        iVersion: 1,
        szOsFile: std::mem::size_of::<Open>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: std::ptr::null_mut(),
        zName: name.as_ptr(),
        // Only a number, never followed.
        pAppData: std::ptr::without_provenance_mut(process),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the table and all that it points to live for ever.
    let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite takes the disk");
    name.to_str().expect("ASCII")
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// SAFETY: SQLite passes only files that `open` has filled.
unsafe fn id(file: *mut ffi::sqlite3_file) -> u64 {
    unsafe { (*file.cast::<Open>()).id }
}

/// SAFETY: SQLite passes texts that end with NUL, or null.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() { None } else { unsafe { CStr::from_ptr(name) }.to_str().ok() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `file` has room for `Open`, as szOsFile says; `out_flags` may be null.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let process = (*vfs).pAppData.addr();
        match with(|disk| disk.open(process, text(name), flags & ffi::SQLITE_OPEN_CREATE != 0)) {
            Ok(id) => {
                file.cast::<Open>().write(Open { base: ffi::sqlite3_file { pMethods: &METHODS }, id });
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    let Some(name) = (unsafe { text(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    // SAFETY: the table that `register` made.
    let process = unsafe { (*vfs).pAppData.addr() };
    code(with(|disk| disk.delete(process, name, sync_dir != 0)))
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: `out` is a place for the answer.
    unsafe { *out = c_int::from(text(name).is_some_and(|name| with(|disk| disk.exists(name)))) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `out` has `room` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `out` has `count` bytes.
    let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), count as usize) };
    with(|disk| disk.fill(out));
    count
}

/// Nobody else runs meanwhile, so waiting changes nothing.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // A day of November 2026, as a Julian number: the ledger never asks SQLite for the time.
    unsafe { *out = 2_461_366.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let id = unsafe { id(file) };
    with(|disk| disk.close(id));
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: `out` has `count` bytes.
    let (id, out) = unsafe { (id(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), count as usize)) };
    code(with(|disk| disk.read(id, out, at as usize)))
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: `bytes` has `count` bytes.
    let (id, bytes) = unsafe { (id(file), std::slice::from_raw_parts(bytes.cast::<u8>(), count as usize)) };
    code(with(|disk| disk.write(id, bytes, at as usize)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let id = unsafe { id(file) };
    code(with(|disk| disk.truncate(id, size as usize)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    let id = unsafe { id(file) };
    code(with(|disk| disk.sync(id)))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    let id = unsafe { id(file) };
    answer(with(|disk| disk.size(id)), |size| unsafe { *out = size as i64 })
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let id = unsafe { id(file) };
    code(with(|disk| disk.lock(id, level)))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let id = unsafe { id(file) };
    code(with(|disk| disk.unlock(id, level)))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    let id = unsafe { id(file) };
    answer(with(|disk| disk.is_reserved(id)), |is_reserved| unsafe { *out = c_int::from(is_reserved) })
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _operation: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    index: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    assert_eq!(size as usize, REGION, "SQLite's regions have one size");
    let id = unsafe { id(file) };
    // SAFETY: `out` is a place for the address; the region is boxed, and kept until the disk is formatted.
    answer(with(|disk| disk.region(id, index as usize, extend != 0)), |region| unsafe {
        *out = region.map_or(std::ptr::null_mut(), <*mut u64>::cast);
    })
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    let id = unsafe { id(file) };
    let slots = offset as usize..(offset + count) as usize;
    code(with(|disk: &mut Disk| disk.shared_lock(id, slots, flags)))
}

/// One thread sees its own writes in order.
unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    let id = unsafe { id(file) };
    with(|disk| disk.leave_shared(id));
    ffi::SQLITE_OK
}

fn answer<T>(result: Result<T, Code>, give: impl FnOnce(T)) -> c_int {
    match result {
        Ok(value) => {
            give(value);
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}
