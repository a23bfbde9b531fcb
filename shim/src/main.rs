#![no_std]
#![no_main]
use core::panic::PanicInfo;
use molecule_shim as _;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    loop {}
}
